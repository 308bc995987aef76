"""The graph of trainings: each once, in order; what is done, to do and blocked, and how much work it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from records import record_of
from scored import write_trained

from vtbench.papers import measurements, select
from vtbench.results import folders
from vtbench.results.store import Store
from vtbench.run.jobs.plan import all_measurements, graph, plan, summary
from vtbench.run.settings import Settings

VIT = "msca/table2:vit"
Edit = Callable[[str, str, str], int]


def test_graph_holds_each_training_once_after_what_it_starts_from() -> None:
    measurements = all_measurements(select(["msca"]), "mini", [0])
    jobs = graph(measurements)
    assert len(jobs) == 33, "27 trainings of rows, 4 of Table 3's events, 2 pretrainings"
    order = list(jobs)
    for key, job in jobs.items():
        assert job.needs is None or order.index(job.needs) < order.index(key)
    paper = graph(all_measurements(select(["msca"]), "paper", [0]))
    assert len(paper) == 25


@pytest.fixture
def half_done(tmp_path: Path) -> Settings:
    """A results folder in which the ViT of Table 2 was trained, in 2 seconds, and tested at smoke scale."""
    (measurement,) = measurements(select([VIT])[0], "smoke", 0)
    Store(tmp_path).append(record_of(measurement, 25.0, train_wall_s=2.0, eval_wall_s=0.0))
    for training in (measurement.evaluation.training, *measurement.evaluation.training.ancestors()):
        write_trained(tmp_path, training.key)
    return Settings(results=tmp_path)


def test_plan_tells_done_and_to_do_with_the_work_and_the_time(half_done: Settings) -> None:
    rows = select([VIT, "msca/table2:msca-qk"])
    entries = {e["title"]: e for e in plan(rows, half_done, "smoke", [0])}
    assert entries[VIT]["state"] == "done"
    assert entries["pretraining on stills"]["state"] == "done"
    todo = entries["msca/table2:msca-qk"]
    assert (todo["state"], todo["needs"]) == ("to do", entries["pretraining on stills"]["training"])
    assert todo["macs"] == entries[VIT]["macs"], "MSCA adds no MACs"
    assert todo["seconds"] == 2.0, "as long as the one that was timed"


def test_a_pretraining_whose_weights_are_gone_is_to_do_only_for_those_who_need_it(half_done: Settings) -> None:
    (start,) = measurements(select([VIT])[0], "smoke", 0)[0].evaluation.training.ancestors()
    (folders.training_folder(half_done.results, start.key) / folders.WEIGHTS).unlink()
    assert {e["state"] for e in plan(select([VIT]), half_done, "smoke", [0])} == {"done"}
    states = {e["title"]: e["state"] for e in plan(select([VIT, "msca/table2:msca-qk"]), half_done, "smoke", [0])}
    assert states == {VIT: "done", "pretraining on stills": "to do", "msca/table2:msca-qk": "to do"}


def test_paper_scale_is_blocked_by_the_data_it_lacks(tmp_path: Path) -> None:
    (blocked,) = plan(select([VIT]), Settings(results=tmp_path), "paper", [0])
    assert (blocked["state"], blocked["blocked_by"]) == (
        "blocked",
        ["data folder of kinetics400 (--data kinetics400=PATH)"],
    ), "these weights can be downloaded"
    # 12 epochs of 246,000 clips at 140.5 GMACs, three times, and 30 views of 18,000 videos
    assert blocked["macs"] == pytest.approx(140.507e9 * (3 * 12 * 246_000 + 30 * 18_000), rel=1e-3)
    assert blocked["seconds"] is None, "nothing of paper scale was timed"


def test_the_summary_says_how_much_work_is_blocked(tmp_path: Path, half_done: Settings) -> None:
    blocked = plan(select([VIT]), Settings(results=tmp_path), "paper", [0])
    assert summary(blocked, "paper")[0] == (
        f"1 distinct training run at paper scale: 0 done, 0 to do, 1 blocked; {blocked[0]['macs']:.3g} MACs blocked"
    )
    todo = plan(select([VIT, "msca/table2:msca-qk"]), half_done, "smoke", [0])
    work = sum(entry["macs"] for entry in todo if entry["state"] == "to do")
    assert f"2 done, 1 to do, 0 blocked; {work:.3g} MACs to do, about" in summary(todo, "smoke")[0]
    assert f"{work:.3g} MACs to do, {blocked[0]['macs']:.3g} MACs blocked" in summary([*todo, *blocked], "smoke")[0]


def test_weights_that_no_release_has_block_until_they_are_given(tmp_path: Path, edit: Edit) -> None:
    edit("msca/table2.yaml", "init: {weights: vit_base_patch16_224.orig_in21k}", "init: {weights: own}")
    (blocked,) = plan(select([VIT]), Settings(results=tmp_path), "paper", [0])
    assert blocked["blocked_by"][1:] == ["weights own (--weights own=FILE)"]
    settings = Settings(results=tmp_path, data={"kinetics400": tmp_path / "k"}, weights={"own": tmp_path / "w"})
    (blocked,) = plan(select([VIT]), settings, "paper", [0])
    assert blocked["blocked_by"] == [
        f"data folder of kinetics400: {tmp_path}/k does not exist",
        f"weights own: {tmp_path}/w does not exist",
    ]
