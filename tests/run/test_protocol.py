"""A row's protocol from Python, with its own network and with the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

import vtbench
from vtbench.errors import UsageError, VtbenchError

pytestmark = [pytest.mark.filterwarnings("ignore:.*:UserWarning"), pytest.mark.usefixtures("one_working_folder")]

PROTOCOL = "pst/table3:pst-t-in1k-1x1@sthv2"


class Mine(nn.Module):
    """A network of the user's own, (B, T, 3, H, W) -> (B, K)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(3, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        return self.head(clips.mean(dim=(1, 3, 4)))


def test_a_network_of_ones_own_trains_and_is_tested_under_a_rows_protocol() -> None:
    torch.manual_seed(0)
    classes = vtbench.assemble(PROTOCOL, scale="smoke").data.num_classes
    mine = Mine(classes)
    parts = vtbench.assemble(PROTOCOL, network=mine, scale="smoke")
    before = mine.head.weight.detach().clone()
    L.Trainer(logger=False, **parts.trainer).fit(parts.method, parts.data)
    assert parts.network is mine and not torch.equal(before, mine.head.weight)
    record = vtbench.evaluate(PROTOCOL, mine, scale="smoke")
    assert (record.id, record.measurement, record.scale) == ("pst/table3:pst-t-in1k-1x1", "sthv2", "smoke")
    (measurement,) = (m for m in vtbench.measurements(*vtbench.select([PROTOCOL]), "smoke") if m.name == "sthv2")
    protocol = measurement.evaluation.eval
    assert record.views == protocol.clips * protocol.crops
    assert record.init == "given" and record.training_key.startswith("file:"), "never the row's own result"
    assert record.evaluation_key.startswith(measurement.evaluation.key)
    assert not Path("results").exists(), "nothing is written"
    assert vtbench.evaluate(PROTOCOL, mine, parts.data, scale="smoke").top1 == record.top1


def test_the_rows_own_parts_are_what_run_trains(tmp_path: Path) -> None:
    from vtbench.run.settings import Settings
    from vtbench.run.train import train

    parts = vtbench.assemble("msca/table2:vit", scale="smoke", results=tmp_path)
    start = parts.training.init.training
    assert start is not None
    train(start, Settings(results=tmp_path))
    parts.load_start()
    method = type(parts.method)
    assert method.__name__ == "MSCA" and parts.method.hparams["lr"] == parts.training.train.lr
    assert parts.trainer["max_epochs"] == parts.training.train.epochs


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("pst/table3:pst-t-in1k-1x1", r"has 2 measurements; name one of pst/table3:pst-t-in1k-1x1@sthv1, pst/table3:"),
        ("pst/table3", r"pst/table3 names \d+ rows; name one, as pst/table3:"),
        ("pst/table3:pst-t-in1k-1x2", "did you mean"),
        ("pst/table3:pst-t-in1k-1x1@sthv3", "did you mean"),
    ],
)
def test_a_selector_names_exactly_one_measurement(selector: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        vtbench.evaluate(selector, Mine(3), scale="smoke")


def test_a_network_with_another_number_of_classes_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"gives 2 scores for a clip, and the data set has \d+ classes; build it with"):
        vtbench.evaluate(PROTOCOL, Mine(2), scale="smoke")


def test_a_real_data_set_needs_its_folder() -> None:
    from vtbench.errors import DataError

    with pytest.raises(DataError, match="the data set 'sthv2' has no folder"):
        vtbench.evaluate(PROTOCOL, Mine(174))


class Odd(Mine):
    def __init__(self, change: Any) -> None:
        super().__init__(4)
        self.change = change

    def forward(self, clips: Tensor) -> Tensor:
        return self.change(super().forward(clips))


def fail(logits: Tensor) -> Tensor:
    raise KeyError("boom")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda logits: (logits,), r"^the network gives a tuple; logits \(clips, classes\) are wanted$"),
        (lambda logits: logits[:, None], r"^the network gives shape \(\d, 1, 4\); logits"),
        (fail, r"^KeyError: 'boom'$"),
    ],
)
def test_a_network_that_fails_or_gives_no_logits_is_one_line(change: Any, message: str) -> None:
    with pytest.raises(VtbenchError, match=message):
        vtbench.evaluate(PROTOCOL, Odd(change), scale="smoke")


def test_an_unknown_scale_is_one_line() -> None:
    with pytest.raises(UsageError, match="no scale 'smok'; did you mean 'smoke'"):
        vtbench.assemble(PROTOCOL, scale="smok")
