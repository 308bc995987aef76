"""GPUs by name, and hours on them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from vtbench.errors import UsageError
from vtbench.papers import measurements, select
from vtbench.papers.roots import own_root
from vtbench.report.counted import recorded_costs
from vtbench.report.machines.devices import DEVICES, find_device
from vtbench.report.machines.hours import Rates
from vtbench.results.store import SpeedStore

OWN = own_root().folder / "results"
ROW = "pst/table3:pst-t-in1k-1x1"


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("Tesla T4", "t4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA A10G", None),
        ("NVIDIA RTX A1000", None),
        ("NVIDIA RTX A6000", "a6000"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA GeForce RTX 2080 Ti", "rtx2080ti"),
        ("cpu", None),
    ],
)
def test_the_name_that_torch_gives_is_of_one_device(name: str, device: str | None) -> None:
    assert [known for known, about in DEVICES.items() if about.is_called(name)] == ([device] if device else [])


def test_a_device_is_a_name_or_a_peak_with_a_share() -> None:
    assert find_device("V100") == find_device(" v100 ") == DEVICES["v100"]
    asked = find_device("a100@0.4")
    assert (asked.peak("16-mixed"), asked.peak("32-true"), asked.share("16-mixed")) == (312, 19.5, 0.4)
    given = find_device("400tflops@.25")
    assert (given.peak("bf16-mixed"), given.peak("32-true"), given.share("32-true")) == (400, 400, 0.25)
    assert given.words("32-true") == "25% of 400 Tflop/s"
    assert asked.words("16-mixed") == "40% of 312 Tflop/s, the peak of NVIDIA A100 at 16 bit"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("h10", "no device 'h10'; did you mean 'h100'?; or give its peak, as 400tflops"),
        ("tpu", "no device 'tpu'; known: b200, h200, h100, a100"),
        ("h100@2", "--device h100@2: '2' is not a share of the peak above 0 and at most 1"),
        ("h100@0.0", "'0.0' is not a share"),
        ("h100@", "'' is not a share"),
        (" ", "--device ' ': names no device; give one as h100, "),
        ("@0.4", "names no device"),
        ("0tflops", "must be above 0 Tflop/s"),
    ],
)
def test_what_is_no_device_is_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        find_device(text)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_hours_of_a_device_that_was_not_measured_are_a_share_of_its_peak(tmp_path: Path) -> None:
    training = measurements(select([f"{ROW}@sthv1"])[0], "paper")[0].evaluation.training
    assert training.train.precision == "16-mixed"
    rates = Rates(recorded_costs(OWN), DEVICES["v100"], tmp_path)
    assert rates.hours(training, 10**18) == pytest.approx(10**18 * 2 / (125e12 * 0.3) / 3600)
    assert rates.find(training.model.name, "16-mixed").origin == (
        "30% of 125 Tflop/s, the peak of NVIDIA V100 (SXM2) at 16 bit"
    )
    half = Rates(recorded_costs(OWN), find_device("v100@0.15"), tmp_path)
    assert half.hours(training, 10**18) == pytest.approx(2 * (rates.hours(training, 10**18) or 0))


def test_a_device_that_the_results_folder_measured_takes_that_speed(tmp_path: Path) -> None:
    book, store = recorded_costs(OWN), SpeedStore(tmp_path)
    line = next(one for one in SpeedStore(OWN).read() if (one.metric, one.precision) == ("throughput_vps", "32-true"))
    line = dataclasses.replace(line, device="Tesla V100-SXM2-16GB", value=2.0)
    store.append(line)
    store.append(dataclasses.replace(line, scale="smoke", value=1e9))  # small networks say nothing
    cost = book.find(line.network)
    assert cost is not None
    found = Rates(book, DEVICES["v100"], tmp_path).find("any", "32-true")
    assert found.per_second == 2.0 * cost.macs["matmul"]
    assert found.origin == "the speed measured on Tesla V100-SXM2-16GB (speed.csv)"
    assert "% of" in Rates(book, DEVICES["v100"], tmp_path).find("any", "16-mixed").origin
    assert "% of" in Rates(book, find_device("v100@0.5"), tmp_path).find("any", "32-true").origin
