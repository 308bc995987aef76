"""`--batch-size auto` on a memory that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from vtbench.clips import Clips
from vtbench.errors import RunError
from vtbench.methods.base import VideoClassifier
from vtbench.papers.override import changed_rows
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.results import folders
from vtbench.run.engine import Engine
from vtbench.run.fitting import fitted
from vtbench.run.settings import Settings
from vtbench.run.train import train

TRAINING = measurements(
    changed_rows(select(["msca/table1:vit"]), (), ["train.accumulate=2"])[0], "smoke", 0
)[0].evaluation.training  # fmt: skip


def memory_for(clips: int, patch: pytest.MonkeyPatch) -> list[int]:
    """Have a device that holds `clips` clips; gives the sizes of the forward passes that were tried."""
    tried: list[int] = []
    step = VideoClassifier.training_step

    def bounded(self: VideoClassifier, batch: tuple[Clips, torch.Tensor], batch_idx: int) -> Any:
        tried.append(len(batch[1]))
        if len(batch[1]) > clips:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, batch, batch_idx)

    patch.setattr(VideoClassifier, "training_step", bounded)
    return tried


def test_the_batch_of_an_update_is_halved_until_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = memory_for(3, monkeypatch)
    settings = fitted(TRAINING, Settings(batch_size="auto"), tmp_path)
    assert settings.batch_size == 2
    assert tried == [8, 4, 2, 2], "two steps of what fits: the second has the states of the optimiser"


def test_what_was_found_is_recorded_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from vtbench.papers.trainings import Start

    training = dataclasses.replace(TRAINING, init=Start())
    memory_for(4, monkeypatch)
    folder = train(training, Settings(results=tmp_path, batch_size="auto"))
    done = folders.read_json(folder / folders.DONE)
    assert (done["batch_size"], done["accumulate"], done["lr"]) == (4, 2, training.train.lr)
    plain = train(training, Settings(results=tmp_path / "plain", batch_size=4))
    assert done["weights_sha256"] == folders.read_json(plain / folders.DONE)["weights_sha256"], "trying leaves no trace"


def test_a_training_that_resumes_keeps_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = {"batch_size": 2, "accumulate": 4, "processes": 1}
    torch.save({"callbacks": {"EpochCheckpoint": {"begun": begun}}}, tmp_path / folders.CHECKPOINT)
    tried = memory_for(8, monkeypatch)
    assert fitted(TRAINING, Settings(batch_size="auto"), tmp_path).batch_size == 2
    assert fitted(TRAINING, Settings(batch_size="auto", engine=Engine(devices=2)), tmp_path).batch_size == 2
    assert tried == []
    # Two passes of an update cannot be shared out to 8 devices: another size is looked for.
    assert fitted(TRAINING, Settings(batch_size="auto", engine=Engine(devices=8)), tmp_path).batch_size == 1
    assert tried == [1, 1]


def test_not_even_one_clip_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_for(0, monkeypatch)
    with pytest.raises(RunError, match=r"not even one clip fits into the memory; try --grad-checkpointing or --prec"):
        fitted(TRAINING, Settings(batch_size="auto"), tmp_path)


def test_a_number_stays(tmp_path: Path) -> None:
    assert fitted(TRAINING, Settings(batch_size=4), tmp_path) == Settings(batch_size=4)
    assert fitted(TRAINING, Settings(), tmp_path) == Settings()
