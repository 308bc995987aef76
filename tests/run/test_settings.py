"""Options first, vtbench.yaml second, defaults last."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtbench.errors import SpecError, UsageError
from vtbench.papers import select
from vtbench.papers.resolve import weight_names
from vtbench.run.jobs.inputs import Inputs
from vtbench.run.jobs.plan import all_measurements, blockers, graph
from vtbench.run.settings import include_folders, load_settings

VIT = "vit_base_patch16_224.orig_in21k"


def test_without_options_or_file_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(folder=tmp_path)
    assert (settings.results, settings.data, settings.weights) == (Path("results"), {}, {})
    assert (settings.wandb, settings.loggers, settings.batch_size) == (None, (), None)


def test_the_file_gives_folders_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "vtbench.yaml").write_text(
        f"data: {{kinetics400: k400, cycle: /c}}\nweights: {{{VIT}: w.pth}}\nresults: out\n"
    )
    settings = load_settings(folder=tmp_path)
    assert settings.data == {"kinetics400": tmp_path / "k400", "cycle": Path("/c")}
    assert settings.weights == {VIT: tmp_path / "w.pth"}
    assert settings.results == tmp_path / "out"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "vtbench.yaml").write_text("data: {cycle: ~/c}\nresults: ~/out\n")
    settings = load_settings(folder=tmp_path, data=["events=~/e"])
    assert settings.data == {"cycle": Path("/home/me/c"), "events": Path("/home/me/e")}
    assert settings.results == Path("/home/me/out")


@pytest.mark.parametrize(
    ("text", "given", "place"),
    [
        ("data: {cycle: ~no-such-user/c}\n", {}, "vtbench.yaml:1: data.cycle"),
        ("weights: {vggish: ~no-such-user/v}\n", {}, "vtbench.yaml:1: weights.vggish"),
        ("results: ~no-such-user/r\n", {}, "vtbench.yaml: results"),
        ("", {"data": ["cycle=~no-such-user/c"]}, "--data cycle"),
        ("", {"results": "~no-such-user/r"}, "--results"),
    ],
)
def test_the_home_of_nobody_is_an_error_that_says_where(
    tmp_path: Path, text: str, given: dict[str, Any], place: str
) -> None:
    (tmp_path / "vtbench.yaml").write_text(text)
    with pytest.raises(UsageError, match=rf"{re.escape(place)}: ~no-such-user/\w: no such user; give the whole path"):
        load_settings(folder=tmp_path, **given)


def test_an_option_overrides_its_entry_of_the_file_only(tmp_path: Path) -> None:
    (tmp_path / "vtbench.yaml").write_text("data: {kinetics400: k400, cycle: /c}\nresults: out\n")
    settings = load_settings(folder=tmp_path, data=["cycle=/other"], results="elsewhere")
    assert settings.data == {"kinetics400": tmp_path / "k400", "cycle": Path("/other")}
    assert settings.results == Path("elsewhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {}\nresult: out\n", r"vtbench\.yaml:2: result: no key 'result'; did you mean 'results'\?"),
        ("data: k400\n", r"vtbench\.yaml:1: data: must be keys and values"),
        ("results: 3\n", r"vtbench\.yaml:1: results: must be text, not 3"),
    ],
)
def test_a_broken_file_is_one_line_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "vtbench.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        load_settings(folder=tmp_path)


@pytest.mark.parametrize("text", ["kinetics400", "kinetics400=", "=/data"])
def test_a_folder_without_a_name_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"--data .*must be NAME=PATH"):
        load_settings(folder=tmp_path, data=[text])


def test_a_misspelt_data_set_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--data kinetcs400: no data set 'kinetcs400'; did you mean 'kinetics400'"):
        load_settings(folder=tmp_path, data=["kinetcs400=/k400"])
    (tmp_path / "vtbench.yaml").write_text("data: {cylce: /c}\n")
    with pytest.raises(SpecError, match=r"vtbench\.yaml:1: data\.cylce: no data set 'cylce'; did you mean 'cycle'"):
        load_settings(folder=tmp_path)


def test_the_file_that_the_docs_show_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    (shown,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if block.startswith("data:")]
    (tmp_path / "vtbench.yaml").write_text(shown)
    settings = load_settings(folder=tmp_path)
    assert settings.weights["vggish"] == Path("/weights/vggish-10086976.pth")
    assert settings.data["sthv2"] == Path("/datasets/something-v2")


def test_every_name_of_weights_that_a_run_asks_for_can_be_given(tmp_path: Path) -> None:
    jobs = graph(all_measurements(select(), "paper", [0])).values()
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"PK")  # as a file of torch begins
    settings = load_settings(
        folder=tmp_path,
        data=[f"{name}={tmp_path}" for name in sorted({job.training.data.dataset for job in jobs})],
        weights=[f"{name}={weights}" for name in weight_names()],
        allow_other_weights=True,
    )
    inputs = Inputs(settings)
    reasons = {reason for job in jobs for reason in blockers(job, inputs)}
    assert {reason for reason in reasons if not reason.startswith(f"{tmp_path}: has no list of the videos")} == set()


def test_misspelt_weights_name_the_nearest(tmp_path: Path) -> None:
    wrong = VIT.replace("in21k", "in1k")
    with pytest.raises(UsageError, match=rf"--weights {wrong}: no weights of a row '.*'; did you mean '{VIT}'"):
        load_settings(folder=tmp_path, weights=[f"{wrong}=w.pth"])
    (tmp_path / "vtbench.yaml").write_text(f"\nweights:\n  {wrong}: w.pth\n")
    with pytest.raises(
        SpecError, match=rf"vtbench\.yaml:3: weights\.{wrong}: no weights of a row '{wrong}'; did you mean '{VIT}'"
    ):
        load_settings(folder=tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "vtbench.yaml").write_text(text)
    assert load_settings(folder=tmp_path) == load_settings(folder=tmp_path / "none")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.symlink_to("nowhere"), "vtbench.yaml: is a link to a file that is not there"),
        (lambda path: path.symlink_to(path.name), "vtbench.yaml: cannot be read: Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), "vtbench.yaml: is a device or a socket, a YAML file is wanted"),
        (os.mkfifo, "vtbench.yaml: is a named pipe, a YAML file is wanted; rename or remove it"),
        (Path.mkdir, "vtbench.yaml: is a folder, a YAML file is wanted; rename or remove it"),
    ],
)
def test_a_settings_file_that_is_none_is_never_passed_over(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "vtbench.yaml")
    for read in (load_settings, include_folders):
        with pytest.raises(SpecError) as error:
            read(folder=tmp_path)
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ("", "--results: the path is empty; give one, or leave it out"),
        ("a\0b", "--results: a\0b: no path holds a null byte"),
        ("~nobody-of-this-name/x", "no such user"),
    ],
)
def test_a_path_that_none_can_be_is_refused_by_its_option(results: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        load_settings(results=results, folder=tmp_path)
    (tmp_path / "vtbench.yaml").write_text(f"results: {json.dumps(results)}\n")
    with pytest.raises((UsageError, SpecError), match=r"vtbench\.yaml:(1:)? results: "):
        load_settings(folder=tmp_path)
