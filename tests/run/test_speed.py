"""`vtbench speed`: rows to networks, what is measured side by side, and the lines that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from vtbench.cli import main
from vtbench.cost.passes import Case, Machine
from vtbench.errors import RunError, SpecError, UsageError
from vtbench.metrics import speed_metrics
from vtbench.papers import select
from vtbench.results.record import SpeedRecord
from vtbench.results.store import SpeedStore
from vtbench.run.measuring import speed

Edit = Callable[[str, str, str], int]
VIT, SHIFT, KV = "msca/table2:vit", "msca/table2:tokenshift", "msca/table2:msca-kv"


class Machinery:
    """Stands for vtbench.cost.timing and memory: seconds, largest batches and GB of a network are what a test says."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        """By the name of the network's builder."""
        self.fits: dict[str, int] = {}
        self.gigabytes: dict[str, list[float]] = {}
        """By the name of the builder, one after the other."""
        self.broken: dict[str, str] = {}
        self.room = 1000
        """How many clips all loaded networks may have together while they are timed."""
        self.turns: list[list[str]] = []
        self.asked: list[tuple[str, str, int]] = []
        self.processes: list[tuple[str, str, int]] = []

    def largest_batch(self, case: Case, work: str, batch: int, machine: Machine) -> tuple[int, float]:
        name = self.name(case)
        self.asked.append((name, work, batch))
        fits = self.fits.get(name, 1000)
        if not fits:
            raise MemoryError("out of memory (as the test has it)")
        while batch > fits:
            batch //= 2
        return batch, self.peak_memory_gb(case, work, batch, machine)

    def peak_memory_gb(self, case: Case, work: str, batch: int, machine: Machine) -> float:
        self.processes.append((self.name(case), work, batch))
        peaks = self.gigabytes.get(self.name(case), [1.0])
        return peaks.pop(0) if len(peaks) > 1 else peaks[0]

    def build_pass(self, case: Case, work: str, batch: int, machine: Machine) -> tuple[str, int]:
        return self.name(case), batch

    def time_in_turns(
        self, makers: Mapping[str, Callable[[], Any]], rounds: int, **_: Any
    ) -> tuple[dict[str, list[float]], dict[str, str]]:
        made = {key: make() for key, make in makers.items()}
        names = {key: name for key, (name, _) in made.items()}
        self.turns.append(list(names.values()))
        failed = {key: self.broken[name] for key, name in names.items() if name in self.broken}
        loaded = 0
        for key, (_, batch) in made.items():
            loaded += batch
            if loaded > self.room:
                loaded -= batch
                failed[key] = "out of memory (no room)"
        seconds = {key: self.seconds.get(name, [1.0] * rounds) for key, name in names.items() if key not in failed}
        return seconds, failed

    @staticmethod
    def name(case: Case) -> str:
        return str(case.build.args[0].name)  # type: ignore[attr-defined]


@pytest.fixture
def machinery(monkeypatch: pytest.MonkeyPatch) -> Machinery:
    made = Machinery()
    for name in ("largest_batch", "peak_memory_gb", "build_pass", "time_in_turns"):
        monkeypatch.setattr(f"vtbench.run.measuring.speed.{name}", getattr(made, name))
    return made


@pytest.fixture
def store(tmp_path: Path) -> SpeedStore:
    return SpeedStore(tmp_path / "results")


def measured(
    store: SpeedStore, *rows: str, **options: Any
) -> tuple[dict[tuple[str, str], SpeedRecord], speed.SpeedOutcome]:
    """Lines by row and metric."""
    against = options.pop("against", None)
    how = speed.SpeedOptions(Machine("cpu", threads=1), **{"rounds": 2, **options})
    outcome = speed.measure_speed(select(rows), store, "smoke", how, against=against)
    assert store.read() == outcome.written
    return {(line.id, line.metric): line for line in outcome.written}, outcome


def test_ratios_are_taken_within_a_round(machinery: Machinery, store: SpeedStore) -> None:
    machinery.seconds = {"vit": [0.010, 0.100], "tokenshift": [0.012, 0.110]}
    lines, outcome = measured(store, SHIFT, VIT, against=VIT)
    shift, vit = lines[SHIFT, "latency_ms"], lines[VIT, "latency_ms"]
    assert (shift.against, vit.against, vit.ratio) == (VIT, None, None)
    assert shift.ratio == pytest.approx((1.2 + 1.1) / 2)
    assert shift.ratio_q1 == pytest.approx(1.125) and shift.ratio_q3 == pytest.approx(1.175)
    assert (vit.value, shift.value, vit.rounds) == (pytest.approx(55.0), pytest.approx(61.0), 2)
    throughput = lines[SHIFT, "throughput_vps"]
    assert throughput.batch == 4 and throughput.value == pytest.approx((4 / 0.012 + 4 / 0.110) / 2)
    assert throughput.ratio == pytest.approx((1 / 1.2 + 1 / 1.1) / 2)
    assert not outcome.notes and not outcome.failed and len(lines) == 2 * len(speed_metrics())


def test_memory_is_measured_in_three_processes(machinery: Machinery, store: SpeedStore) -> None:
    machinery.gigabytes = {"vit": [2.0], "tokenshift": [3.0, 3.0, 5.0]}
    lines, _ = measured(store, SHIFT, against=VIT, metrics=("train_memory_gb",), rounds=10)
    line = lines[SHIFT, "train_memory_gb"]
    assert (line.value, line.ratio, line.q1, line.q3, line.ratio_q3, line.rounds) == (3.0, 1.5, 3.0, 4.0, 2.0, 3)
    assert machinery.processes == [("vit", "train", 1)] * 3 + [("tokenshift", "train", 1)] * 3 and not machinery.turns


def test_a_step_asks_for_memory_once_and_its_memory_begins_there(machinery: Machinery, store: SpeedStore) -> None:
    measured(store, VIT, metrics=("train_step_ms", "train_memory_gb"), rounds=5)
    assert machinery.asked == [("vit", "train", 1)] and len(machinery.processes) == 3


def test_a_single_round_has_no_quartiles(machinery: Machinery, store: SpeedStore) -> None:
    lines, _ = measured(store, SHIFT, against=VIT, metrics=("latency_ms", "memory_gb"), rounds=1)
    for line in lines.values():
        assert (line.q1, line.q3, line.ratio_q1, line.ratio_q3, line.rounds) == (None, None, None, None, 1)
    assert lines[SHIFT, "memory_gb"].ratio == 1.0 and len(machinery.processes) == 2


def test_the_baseline_is_measured_though_it_was_not_selected(
    machinery: Machinery, store: SpeedStore, edit: Edit
) -> None:
    edit("msca/table2.yaml", "- id: msca-kv\n", "- id: msca-kv\n    baseline: vit\n")
    lines, _ = measured(store, KV, metrics=("latency_ms",))
    assert machinery.turns == [["vit", "msca"]]
    assert list(lines) == [(KV, "latency_ms"), (VIT, "latency_ms")]
    assert lines[KV, "latency_ms"].against_network == lines[VIT, "latency_ms"].network


def test_rows_that_share_a_network_are_measured_once(machinery: Machinery, store: SpeedStore) -> None:
    lines, _ = measured(store, "msca/table1:vit", VIT, SHIFT, against=VIT, metrics=("latency_ms", "train_memory_gb"))
    assert [sorted(turn) for turn in machinery.turns] == [["tokenshift", "vit"]]
    assert sorted(machinery.asked) == [("tokenshift", "train", 1), ("vit", "train", 1)]
    assert lines["msca/table1:vit", "latency_ms"].ratio == 1.0
    assert len(lines) == 6


def test_rows_without_a_baseline_have_no_ratio(machinery: Machinery, store: SpeedStore) -> None:
    lines, outcome = measured(store, SHIFT, VIT, metrics=("latency_ms",))
    assert machinery.turns == [["tokenshift"], ["vit"]]
    assert all(line.against is line.ratio is None for line in lines.values()) and not outcome.notes


def test_out_of_memory_halves_the_batch_and_the_record_says_so(machinery: Machinery, store: SpeedStore) -> None:
    machinery.fits = {"tokenshift": 2}
    lines, outcome = measured(store, SHIFT, against=VIT, metrics=("throughput_vps",))
    line = lines[SHIFT, "throughput_vps"]
    assert (line.batch, lines[VIT, "throughput_vps"].batch, line.ratio) == (2, 4, None)
    assert line.value == 2.0  # clips a second, at two clips a pass
    assert outcome.notes == [
        f"{SHIFT}: throughput_vps: out of memory at batch 4, measured at 2",
        f"{SHIFT}: throughput_vps: no ratio to {VIT}, which was measured at batch 4; "
        "--throughput-batch 2 measures both at the same batch",
    ]
    assert not outcome.failed


def test_what_does_not_fit_is_one_line_and_the_others_are_measured(machinery: Machinery, store: SpeedStore) -> None:
    machinery.fits = {"tokenshift": 0}
    lines, outcome = measured(store, SHIFT, KV, against=VIT, metrics=("train_step_ms", "train_memory_gb"))
    assert {row for row, _ in lines} == {KV, VIT}
    assert outcome.failed == [
        f"{SHIFT}: {metric}: out of memory (as the test has it) with one clip; try a smaller --scale or a "
        "device with more memory"
        for metric in ("train_step_ms", "train_memory_gb")
    ]


def test_without_the_baseline_there_is_no_ratio_but_a_line(machinery: Machinery, store: SpeedStore) -> None:
    machinery.broken = {"vit": "out of memory (no)"}
    lines, outcome = measured(store, SHIFT, against=VIT, metrics=("latency_ms",))
    assert lines[SHIFT, "latency_ms"].ratio is None
    assert outcome.notes == [f"{SHIFT}: latency_ms: no ratio to {VIT}, which could not be measured"]
    assert outcome.failed == [f"{VIT}: latency_ms: out of memory (no); try a device with more memory"]


def test_what_does_not_fit_beside_the_others_is_measured_with_the_baseline_alone(
    machinery: Machinery, store: SpeedStore
) -> None:
    machinery.room = 9
    machinery.seconds = {"vit": [1.0, 2.0], "msca": [3.0, 4.0]}
    lines, outcome = measured(store, SHIFT, KV, against=VIT, metrics=("throughput_vps",))
    assert machinery.turns == [["vit", "tokenshift", "msca"], ["vit", "msca"]]
    assert {line.batch for line in lines.values()} == {4} and not outcome.failed and not outcome.notes
    assert lines[KV, "throughput_vps"].ratio == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_both_have_fewer_clips_where_two_networks_do_not_fit(machinery: Machinery, store: SpeedStore) -> None:
    machinery.room = 5
    lines, outcome = measured(store, SHIFT, against=VIT, metrics=("throughput_vps",))
    shift = lines[SHIFT, "throughput_vps"]
    assert (shift.batch, shift.ratio, lines[VIT, "throughput_vps"].batch) == (2, 1.0, 4)
    assert outcome.notes == [f"{SHIFT}: throughput_vps: out of memory at batch 4, measured at 2"]


def test_two_networks_that_never_fit_are_told(machinery: Machinery, store: SpeedStore) -> None:
    machinery.room = 1
    lines, outcome = measured(store, SHIFT, against=VIT, metrics=("latency_ms",))
    assert [row for row, _ in lines] == [VIT]
    assert outcome.failed == [
        f"{SHIFT}: latency_ms: out of memory (no room) with its baseline loaded; try a device with more memory"
    ]


def test_an_interruption_before_the_first_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vtbench.run.measuring.speed.measure_speed", interrupted)
    assert main(["speed", VIT, "--scale", "smoke", "--device", "cpu"]) == 1
    assert capsys.readouterr().err == "vtbench: interrupted; nothing was measured yet\n"


def test_a_network_that_cannot_run_is_told_in_its_own_words(
    machinery: Machinery, store: SpeedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> tuple[int, float]:
        raise RunError("ValueError: no")

    monkeypatch.setattr("vtbench.run.measuring.speed.largest_batch", refuse)
    lines, outcome = measured(store, VIT, metrics=("memory_gb",))
    assert not lines and outcome.failed == [f"{VIT}: memory_gb: ValueError: no"]


def test_a_row_without_a_network_is_skipped_with_a_line(machinery: Machinery, store: SpeedStore, edit: Edit) -> None:
    edit("msca/table2.yaml", "    model: {name: vit}\n", "    quoted: true\n")
    lines, outcome = measured(store, VIT, SHIFT, metrics=("latency_ms",))
    assert [row for row, _ in lines] == [SHIFT]
    assert outcome.notes == [f"{VIT}: skipped: no network at smoke scale (published-only)"]
    with pytest.raises(UsageError, match=f"{VIT} has no network at smoke scale to measure against"):
        measured(SpeedStore(store.folder / "other"), SHIFT, against=VIT)


def test_a_network_that_cannot_be_built_is_told_before_anything_is_written(
    machinery: Machinery, store: SpeedStore, edit: Edit
) -> None:
    edit("msca/table2.yaml", "shifted: kv, backward_heads: 1", "shifted: kv, backward_heads: 99")
    with pytest.raises(SpecError, match=r"benchmarks/msca/table2\.yaml:\d+: .*model msca: "):
        measured(store, VIT, KV)
    assert not store.path.exists() and not machinery.turns


# ---- the device ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_a_gpu_that_is_not_there_is_one_line(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"--device {device}: torch finds no CUDA GPU; choose another device"):
        speed.find_machine(device, "32-true")
    assert speed.find_machine("auto", "32-true", 3) == Machine("cpu", "32-true", 3)


def test_a_gpu_number_is_held_against_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert speed.find_machine("auto", "16-mixed", 1).device == "cuda:0"
    assert speed.find_machine("cuda:1", "32-true", 1).device == "cuda:1"
    with pytest.raises(UsageError, match="--device cuda:2: torch finds cuda:0 to cuda:1"):
        speed.find_machine("cuda:2", "32-true")


@pytest.mark.parametrize("device", ["gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1"])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match="must be auto, cpu, cuda or cuda:N"):
        speed.find_machine(device, "32-true")


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command_measures_writes_and_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vtbench.run.measuring.speed.LINE_EVERY", 1e9)  # on a busy machine it would print how far it is
    command = f"speed {SHIFT} --scale smoke --device cpu --threads 1 --rounds 3 --only latency --against {VIT}"
    assert main([*command.split(), "--format", "json"]) == 0
    captured = capsys.readouterr()
    lines = json.loads(captured.out)
    assert [(line["id"], line["metric"], line["batch"], line["rounds"]) for line in lines] == [
        (SHIFT, "latency_ms", 1, 3),
        (VIT, "latency_ms", 1, 3),
    ]
    assert (
        lines[0]["ratio_q1"] <= lines[0]["ratio"] <= lines[0]["ratio_q3"]
        and lines[0]["value"] > 0.1
        and lines[0]["device"] == "cpu"
    )
    assert [line.as_dict() for line in SpeedStore("results").read()] == lines
    assert [line.split()[0] for line in captured.err.splitlines()] == [f"{SHIFT}:", f"{VIT}:"]


@pytest.mark.slow
def test_the_memory_of_a_rows_network_is_measured_in_another_process(store: SpeedStore) -> None:
    lines, outcome = measured(store, VIT, metrics=("memory_gb",))
    assert not outcome.failed and 0 < lines[VIT, "memory_gb"].value < 0.2


def test_the_table_has_a_line_per_row_and_says_under_what_it_was_measured(
    machinery: Machinery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    machinery.seconds = {"vit": [0.01] * 2, "tokenshift": [0.0107] * 2}
    machinery.fits = {"vit": 0}
    command = f"speed {SHIFT} {VIT} --scale smoke --rounds 2 --threads 1 --device cpu --against {VIT}"
    assert main([*command.split(), "--only", "latency,memory"]) == 1
    captured = capsys.readouterr()
    header, shift, vit, blank, said, written = captured.out.splitlines()
    assert header.split() == ["id", "latency_ms", "memory_gb", "against", "latency", "ratio", "memory", "ratio"]
    assert shift.split() == [SHIFT, "10.7", "(10.7-10.7)", "1", "(1-1)", VIT, "1.07", "(1.07-1.07)"]
    assert vit.split() == [VIT, "10", "(10-10)"] and blank == ""
    assert said.startswith(
        "cpu, 32-true, threads 1, rounds 2, 2 processes for memory; median (quartiles); GB = 1e9 bytes; clips per pass:"
    )
    assert written == "smoke scale: 3 lines written to results/speed.csv"
    complaints = [line for line in captured.err.splitlines() if line.startswith("vtbench: ")]
    assert complaints == [
        f"vtbench: {SHIFT}: memory_gb: no ratio to {VIT}, which could not be measured",
        f"vtbench: {VIT}: memory_gb: out of memory (as the test has it) with one clip; try a smaller --scale or a "
        "device with more memory",
    ]


def test_train_is_the_step_and_its_memory() -> None:
    from vtbench.cli.speed import METRICS

    assert sorted(metric for metrics in METRICS.values() for metric in metrics) == sorted(speed_metrics())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "speed needs a selector"),
        ([VIT, "--only", "latencies"], "no measurement 'latencies'; did you mean 'latency'?"),
        ([VIT, "--rounds", "0"], "'0' is not a whole number above 0"),
        ([VIT, "--against", "msca/table2"], "must name one row, as paper/table:row"),
        ([VIT, "--against", "msca/table2:vti"], "no row 'msca/table2:vti'; did you mean"),
        ([VIT, "--precision", "8"], "no precision '8'; known: 32-true"),
    ],
)
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["speed", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1
