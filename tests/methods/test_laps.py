"""LAPS's recipe: batch norm measured after the last epoch and before a validation."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, SequentialSampler

from vtbench.methods.base import Validation
from vtbench.methods.laps import LAPS


class OneNorm(nn.Module):
    """Clips (B, T, 3, H, W) to logits (B, 2) through a batch norm over the mean pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, clips: Tensor) -> Tensor:
        return self.head(self.norm(clips.mean(dim=(1, 3, 4))))


class Sampler(SequentialSampler):
    """Remembers the epochs it was told."""

    def __init__(self, data: list[tuple[Tensor, int]]) -> None:
        super().__init__(data)
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


class Clips(L.LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.items = [(3 + torch.randn(2, 3, 4, 4, generator=generator), i % 2) for i in range(24)]
        self.sampler = Sampler(self.items)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.items, batch_size=4, sampler=self.sampler)


def trained(precise_bn: int | None, **options: Any) -> tuple[LAPS, Clips]:
    torch.manual_seed(0)
    method = LAPS(
        OneNorm(), optimizer="sgd", lr=0.01, momentum=0.9, weight_decay=0.0, epochs=2, schedule="step", milestones=(1,),
        gamma=0.1, precise_bn=precise_bn, **options,
    )  # fmt: skip
    clips = Clips()
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(method, clips)
    return method, clips


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_statistics_are_the_plain_average_over_the_batches() -> None:
    method, clips = trained(precise_bn=3)
    norm = method.network.norm
    pixels = [torch.stack([clip.mean(dim=(0, 2, 3)) for clip, _ in clips.items[i : i + 4]]) for i in (0, 4, 8)]
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean(0) for x in pixels]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var(0) for x in pixels]).mean(0))
    assert norm.momentum == 0.1 and norm.num_batches_tracked == 3
    assert clips.sampler.epochs[-1] >= 2, "clips that no epoch of the training draws"
    running = trained(precise_bn=None)[0].network.norm.running_mean
    assert not torch.allclose(running, norm.running_mean), "the running average still remembers its start"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_without_precise_bn_the_running_averages_stay() -> None:
    norm = trained(precise_bn=None)[0].network.norm
    assert norm.num_batches_tracked == 12


def test_the_code_keeps_the_best_epoch_on_the_test_set_where_the_spec_says_so() -> None:
    common = {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.0, "epochs": 2, "schedule": "cosine"}
    best, last = LAPS(OneNorm(), **common, keep="best_on_test"), LAPS(OneNorm(), **common)
    assert best.validation == Validation(crops=3, keep_best=True) and last.validation is None
    assert (best.selection, last.selection) == ("best of 2 epochs on the test set", "last epoch")
