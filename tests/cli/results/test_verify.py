"""`vtbench results verify`: what is wrong with a store is one line each, what is only old is counted."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scored import write_right

from vtbench.cli import main
from vtbench.papers import measurements, select
from vtbench.results import finished, folders
from vtbench.results.record import Record
from vtbench.results.store import SpeedStore, Store

KV = "msca/table2:msca-kv"
WEIGHTS = b"weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One line with both run folders, as a run leaves them."""
    store = Store(tmp_path / "results")
    record = write_right(store, KV, [True] * 48 + [False] * 16, weights_sha256=SHA256, top5=100.0)
    trained = folders.training_folder(store.folder, record.training_key)
    trained.mkdir(parents=True)
    (trained / folders.WEIGHTS).write_bytes(WEIGHTS)
    done = {name: getattr(record, name) for name in (*finished.TRAINING, "train_top1")}
    folders.write_json(trained / folders.DONE, {**done, "videos": record.train_videos})
    return store


def verify(store: Store, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, list[str]]:
    code = main(["results", "verify", "--results", str(store.folder)])
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


def rewrite(store: Store, **changes: Any) -> None:
    """The store with one line that says something else, its checksum right."""
    (record,) = store.read()
    values = {**record.as_dict(), **changes}
    store.path.unlink()
    store.append(Record(**values))


def test_a_store_that_is_in_order_says_what_was_checked(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, wrong = verify(store, capsys)
    assert (code, wrong) == (0, [])
    assert out.splitlines() == [
        f"{store.folder}: 1 line of results.csv, 0 lines of speed.csv, 0 lines of cost.csv, 1 file of weights: "
        "nothing wrong",
        "1 line with a checksum",
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"top1": 75.5}, "top1 75.5 of 64 videos is 48.320 videos, no whole number"),
        ({"top1_decoded": 50.0}, "top1 is 48 right videos, top1_decoded 32.000"),
        ({"epochs": 13}, "epochs is 13, .*/done.json says 12"),
        ({"lr": 0.2}, "lr is 0.2, .*/done.json says 0.1"),
        ({"views": 31}, "views is 31, .*/done.json says 30"),
        ({"commit": "0123456"}, "commit is 0123456, .*/done.json says 277b510"),
        ({"top1": 50.0}, r"its metrics are \{'top1': 50.0.*/done.json \{'top1': 75.0"),
        ({"training_key": "0123456789ab"}, "training_key 0123456789ab is not "),
        ({"init": "given"}, "training_key .* does not go with init given"),
        (
            {"init": "given", "training_key": "file:0123456789ab"},
            "training_key file:0123456789ab is not that of the weights",
        ),
    ],
)
def test_a_line_that_does_not_fit_is_named_with_what_it_should_be(
    store: Store, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], says: str
) -> None:
    rewrite(store, **changes)
    code, _, wrong = verify(store, capsys)
    assert code == 1
    matching = [line for line in wrong if re.search(rf"results\.csv:2: {KV} \(main, mini, seed 0\): {says}", line)]
    assert len(matching) == 1, wrong
    assert matching[0].endswith("; delete the line and run again")


def test_every_broken_line_is_named_not_only_the_first(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (record,) = store.read()
    for seed in (1, 2, 3):
        store.append(Record(**{**record.as_dict(), "seed": seed}))
    text = store.path.read_text().splitlines()
    text[2] = text[2].replace(",75.0,", ",74.0,")
    text[4] = "not,a,line"
    store.path.write_text("\n".join(text) + "\n")
    code, _, wrong = verify(store, capsys)
    assert code == 1 and len(wrong) == 3
    assert "results.csv:3: the line is broken: checksum: is" in wrong[0]
    assert "results.csv:5: the line is broken: 3 of " in wrong[1]
    assert ["sed" in line for line in wrong] == [False, False, True], "one after the other would delete others"


def broken(store: Store, *numbers: int) -> None:
    lines = store.path.read_text().splitlines()
    for number in numbers:
        lines[number - 1] = "not,a,line"
    store.path.write_text("\n".join(lines) + "\n")


def add_lines(store: Store, count: int) -> None:
    """Lines of other seeds that are in order."""
    (record,) = store.read()
    keys = {"evaluation_key": "0123456789ab", "training_key": "ba9876543210"}
    store.append_missing(Record(**{**record.as_dict(), **keys, "seed": seed}) for seed in range(1, count + 1))


@pytest.mark.parametrize(
    ("numbers", "script"),
    [((3, 5), "3d;5d"), ((7,), "7d"), ((2, 3, 4, 6), "2,4d;6d")],
)
def test_one_command_deletes_all_lines_that_are_wrong_and_no_other(
    store: Store, capsys: pytest.CaptureFixture[str], numbers: tuple[int, ...], script: str
) -> None:
    add_lines(store, 5)
    before = store.read()
    broken(store, *numbers)
    code, _, wrong = verify(store, capsys)
    assert code == 1 and len(wrong) == len(numbers) + 1
    assert wrong[-1] == (
        f"vtbench: to delete what is wrong: sed -i '{script}' {store.path}; then run again: what it measured is still "
        "in its run folder"
    )
    subprocess.run(wrong[-1].partition(": to delete what is wrong: ")[2].partition("; then")[0], shell=True, check=True)
    assert store.read() == [record for number, record in enumerate(before, start=2) if number not in numbers]
    assert verify(store, capsys)[0] == 0


def test_a_line_that_does_not_fit_is_deleted_by_the_same_command(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(store, top1=50.0)
    with store.path.open("a") as file:
        file.write("x" * 3 * 2**20 + "\nnot,a,line\n")
    wrong = verify(store, capsys)[2]
    assert wrong[-3] == f"vtbench: {store.path}:3: the line is broken: more than 1048576 bytes"
    assert wrong[-2].startswith(f"vtbench: {store.path}:4: the line is broken: 3 of "), "the long line counts once"
    assert f"sed -i '2,4d' {store.path};" in wrong[-1]


def test_of_very_many_lines_the_first_are_deleted_first(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    add_lines(store, 60)
    broken(store, *range(3, 61, 2))
    rounds = 0
    while (found := verify(store, capsys))[0] == 1:
        command = re.fullmatch(
            r"vtbench: to delete what is wrong( \(9 more .*\))?: (sed .*); then run .*", found[2][-1]
        )
        assert command is not None and bool(command[1]) == (rounds == 0)
        subprocess.run(command[2], shell=True, check=True)
        rounds += 1
    assert rounds == 2 and len(store.read()) == 61 - 29


@pytest.mark.parametrize("torn", ["<<<<<<< HEAD\n", "id,seed\n"])
def test_where_git_merged_badly_nothing_is_deleted(store: Store, capsys: pytest.CaptureFixture[str], torn: str) -> None:
    """A line that is broken under the columns of one side may be whole under those of the other."""
    with store.path.open("a") as file:
        file.write(f"{torn}of,another,side\n")
    code, _, wrong = verify(store, capsys)
    assert code == 1 and len(wrong) == 2
    assert wrong[0].endswith(
        "; take one side and merge the other with `vtbench results merge`, as results/README.md says"
    )
    assert not any("delete" in line or "sed" in line for line in wrong)


def test_a_torn_line_and_one_without_its_end_are_not_deleted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    add_lines(store, 1)
    for remove, says in (
        (1, "the last line is whole but has no line end; add it: echo >> "),
        (9, "the last line is truncated: "),
    ):
        store.path.write_bytes(store.path.read_bytes()[:-remove])
        code, _, (wrong,) = verify(store, capsys)
        assert code == 1 and says in wrong and "sed" not in wrong


def test_a_link_to_the_results_stays_one(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    linked = Store(tmp_path / "with a blank")
    linked.folder.mkdir()
    linked.path.symlink_to(store.path)
    broken(store, 2)
    assert f"sed -i '2d' {store.path};" in verify(linked, capsys)[2][-1]
    linked.path.unlink()
    linked.path.write_bytes(store.path.read_bytes())
    assert f"sed -i '2d' '{linked.path}';" in verify(linked, capsys)[2][-1]


def test_weights_that_were_changed_are_found(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (record,) = store.read()
    trained = folders.training_folder(store.folder, record.training_key)
    (trained / folders.WEIGHTS).write_bytes(b"others")
    code, _, wrong = verify(store, capsys)
    assert code == 1 and len(wrong) == 1
    assert wrong[0].startswith(f"vtbench: {trained / folders.WEIGHTS}: its SHA-256 begins with ")
    assert wrong[0].endswith(f"put the file back, or remove {trained} and run its row with --again")
    (trained / folders.WEIGHTS).unlink()
    (trained / folders.WEIGHTS).mkdir()
    code, _, wrong = verify(store, capsys)
    assert code == 1 and "weights.safetensors: cannot be read: is a folder; `vtbench run` of its row with" in wrong[0]


def encrypted(data: bytes) -> bytes:
    """Says so of its array, in both places."""
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(head) + flags
        data = data[:at] + bytes([data[at] | 1]) + data[at + 1 :]
    return data


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-30], lambda data: data[:200] + b"xx" + data[202:], encrypted, None]
)
def test_scores_that_are_damaged_are_found(
    damage: Callable[[bytes], bytes] | None, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = store.read()
    tested = folders.evaluation_folder(store.folder, record.evaluation_key)
    file = tested / folders.SCORES
    np.savez(file, scores=np.arange(300.0))
    assert verify(store, capsys)[0] == 0
    content = file.read_bytes()
    file.unlink()
    if damage:
        file.write_bytes(damage(content))
    else:
        file.mkdir()
    code, _, wrong = verify(store, capsys)
    assert code == 1
    assert wrong == [f"vtbench: {file}: is damaged; `vtbench run` of its row with --test-again repeats it"]
    given = tested.rename(f"{tested}-0123beef")
    assert finished.repeats(given) == f"remove {given}, and test the weights with `vtbench eval` again"
    aside = given.rename(f"{tested}.1")
    assert verify(store, capsys)[2] == [
        f"vtbench: {aside / file.name}: is damaged; remove {aside}, which was set aside"
    ]


@pytest.mark.parametrize("content", ["", "[]", '{"half": ', "null"])
def test_a_damaged_done_json_is_named(store: Store, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (record,) = store.read()
    for folder in (
        folders.training_folder(store.folder, record.training_key),
        folders.evaluation_folder(store.folder, record.evaluation_key),
    ):
        (folder / folders.DONE).write_text(content)
    code, _, wrong = verify(store, capsys)
    assert code == 1 and len(wrong) == 2
    assert all("done.json: is damaged" in line for line in wrong)


def test_what_is_only_old_is_counted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (record,) = store.read()
    other = {"evaluation_key": "0123456789ab", "training_key": "ba9876543210"}
    for changes in ({"id": "msca/table2:gone"}, {"seed": 1, **other}, {"seed": 2, "weights_sha256": "beef", **other}):
        store.append(Record(**{**record.as_dict(), **changes}))
    with store.path.open("a") as file:
        file.write(store.path.read_text().splitlines()[1] + "\n")
    code, out, wrong = verify(store, capsys)
    assert (code, wrong) == (0, [])
    assert set(out.splitlines()[1:]) == {
        "5 lines with a checksum",
        "1 line that is there twice, which counts once",
        "1 line of rows, measurements or variants that no spec has",
        "2 lines of specs that have changed since",
        "2 lines without their run folder",
        "2 lines whose weights are not there",
    }


def test_the_start_of_a_training_is_verified_too(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    start = folders.training_folder(store.folder, "0123456789ab")
    start.mkdir()
    (start / folders.WEIGHTS).write_bytes(b"start")
    sha256 = hashlib.sha256(b"start").hexdigest()
    (record,) = store.read()
    done = folders.read_json(folders.training_folder(store.folder, record.training_key) / folders.DONE)
    folders.write_json(start / folders.DONE, {**done, "training_key": "0123456789ab", "weights_sha256": sha256})
    for named, gone in ((f"@{sha256[:8]}", False), ("", False), ("@00000000", True)):
        rewrite(store, init=f"training:0123456789ab{named}")
        code, out, wrong = verify(store, capsys)
        assert (code, wrong) == (0, []) and ("1 line that started from weights which are not there" in out) == gone
    (start / folders.WEIGHTS).write_bytes(b"other")
    code, _, wrong = verify(store, capsys)
    assert code == 1 and wrong[0].startswith(f"vtbench: {start / folders.WEIGHTS}: its SHA-256 begins with ")


def test_lines_of_variants_are_held_against_the_variant(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    from vtbench.papers.override import changed_rows

    (row,) = changed_rows(select([KV]), [], ["train.lr=0.05"])
    (wanted,) = measurements(row, "mini", 3)
    (record,) = store.read()
    keys = {"training_key": wanted.evaluation.training.key, "evaluation_key": wanted.evaluation.key}
    store.append(Record(**{**record.as_dict(), **keys, "seed": 3, "variant": wanted.variant}))
    code, out, _ = verify(store, capsys)
    assert code == 0 and "changed since" not in out and "no spec" not in out


def test_quartiles_of_speed_stand_around_the_median(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = SpeedStore(tmp_path)
    text = (Path(__file__).parents[3] / "results" / "speed.csv").read_text().splitlines()
    cells = dict(zip(text[0].split(","), text[1].split(","), strict=True))
    cells["q1"] = str(float(cells["value"]) + 1)
    store.path.write_text("\n".join([text[0], ",".join(cells.values())]) + "\n")
    assert main(["results", "verify", "--results", str(tmp_path)]) == 1
    assert "speed.csv:2: " in (err := capsys.readouterr().err) and "value is not between q1 and q3" in err


def test_the_committed_results_are_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    results = Path(__file__).parents[3] / "results"
    assert main(["results", "verify", "--results", str(results)]) == 0, capsys.readouterr().err


def test_no_results_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "verify", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"vtbench: {tmp_path}: has no results; ")


def test_json_of_a_done_run_is_what_the_tests_above_take_it_for() -> None:
    """The columns that are compared are those that a run writes down."""
    from vtbench.results.verify import OF_EVALUATION, OF_TRAINING

    source = Path(__file__).parents[3] / "vtbench" / "run" / "recording.py"
    text = source.read_text()
    for column, key in {**OF_EVALUATION, **OF_TRAINING}.items():
        assert column in Record.columns()
        assert any(f'{of}["{key}"]' in text or f'{of}.get("{key}")' in text for of in ("measured", "done")), json.dumps(
            key
        )
