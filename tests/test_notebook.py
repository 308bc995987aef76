"""The section "From Python" of the README, as a user runs it: its blocks in order, in one folder, as they stand."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning.pytorch.cli import LightningCLI

import vtbench
from vtbench.errors import UsageError
from vtbench.models import msca_kv

REPOSITORY = Path(__file__).resolve().parent.parent
ROW = "pst/table3:pst-t-in1k-1x1@sthv2"


@dataclass
class Notebook:
    """A working folder, the names that the blocks have defined so far, and the blocks that have not run yet."""

    folder: Path
    blocks: Iterator[str]
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def run_until(self, name: str) -> dict[str, Any]:
        """Run blocks until one has defined `name`."""
        while name not in self.names:
            exec(compile(next(self.blocks), "README.md", "exec"), self.names)
        return self.names


def section() -> str:
    (found,) = re.findall(r"^## From Python\n(.*?)^## ", (REPOSITORY / "README.md").read_text(), re.M | re.S)
    return found


def files() -> dict[str, str]:
    """The files that the section shows, by name."""
    return dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", section(), re.M | re.S))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Without the checkpoints afterwards: 340 MB each."""
    made = tmp_path_factory.mktemp("notebook")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def notebook(folder: Path) -> Notebook:
    blocks = re.findall(r"(?<!`:)\n\n```python\n(.*?)^```$", section(), re.M | re.S)
    return Notebook(folder, iter(blocks))


@pytest.fixture(autouse=True)
def working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


# The tests below share the notebook and are in its order.


def test_fit_validate_test_predict_and_load(notebook: Notebook) -> None:
    names = notebook.run_until("again")
    assert {"val_top1", "val_top5"} <= names["validated"][0].keys()
    assert set(names["tested"][0]) == {"test_top1", "test_top5", "test_videos_failed"}
    assert names["tested"][0]["test_videos_failed"] == 0
    videos = [video for batch in names["predicted"] for video in batch]
    assert [video["views"].shape for video in videos] == [(6, 4)] * 8
    assert {video["scores"].shape for video in videos} == {(4,)}
    saved, trained = names["again"].network.state_dict(), names["module"].network.state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in trained.items())
    assert names["again"].hparams.network == names["network"]
    assert len(names["data"].holdout_entries) == 4 and len(names["data"].train_entries) == 12
    with torch.device("meta"):
        assert msca_kv(num_classes=4).head.out_features == 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # jsonargparse's, about what Lightning calls
def test_the_command_line_of_lightning(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in files().items():
        (notebook.folder / name).write_text(text)
    (command,) = re.findall(r"^\$ python (.*)$", section(), re.M)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    made: list[LightningCLI] = []
    before = LightningCLI.__init__

    def keep(self: LightningCLI, *arguments: Any, **options: Any) -> None:
        made.append(self)
        before(self, *arguments, **options)

    monkeypatch.setattr(LightningCLI, "__init__", keep)
    exec(compile(Path("train.py").read_text(), "train.py", "exec"), {"__name__": "__main__"})
    assert made[0].trainer.current_epoch == 1 and made[0].model.lr == 0.002
    assert {"train_loss", "train_top1", "val_top1", "val_top5"} <= set(made[0].trainer.callback_metrics)


def test_a_network_of_ones_own_under_a_rows_protocol(notebook: Notebook) -> None:
    names = notebook.run_until("record")
    record = names["record"]
    assert (record.id, record.measurement, record.scale) == ("pst/table3:pst-t-in1k-1x1", "sthv2", "smoke")
    assert (record.videos_expected, record.views, record.init) == (4, 1, "given")
    assert 0 <= record.top1 <= 100
    assert not Path("results").exists()
    with pytest.raises(UsageError, match="gives 3 scores for a clip, and the data set has 4 classes"):
        vtbench.evaluate(ROW, names["Mine"](num_classes=3), scale="smoke")
    with pytest.raises(UsageError, match=f"2 measurements; name one of .*@sthv1, {ROW}$"):
        vtbench.evaluate(ROW.removesuffix("@sthv2"), names["mine"], scale="smoke")


def test_results_are_a_table_and_no_block_is_left(notebook: Notebook) -> None:
    shutil.copytree(REPOSITORY / "results", "results", ignore=shutil.ignore_patterns("runs"))
    means = notebook.run_until("means")["means"]
    assert isinstance(means, pd.DataFrame) and len(means) == 9
    assert means.loc["msca/table2:msca-kv"].tolist() == [100.0, 0.0, 3.0]
    assert list(notebook.blocks) == []  # that was the last one
