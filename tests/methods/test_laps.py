"""LAPS's recipe: the paper's schedule, and batch norm measured anew."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, SequentialSampler

from vtbench.methods import build_method
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


@pytest.fixture
def trained() -> Iterator[tuple[LAPS, Clips]]:
    torch.manual_seed(0)
    method, clips = LAPS(OneNorm(), lr=0.01, epochs=2, milestones=(1,), precise_bn=3), Clips()
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(method, clips)
    yield method, clips


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_statistics_are_the_plain_average_over_the_batches(trained: tuple[LAPS, Clips]) -> None:
    method, clips = trained
    norm = method.network.norm
    before = norm.running_mean.clone()
    method.finish(clips, torch.device("cpu"))
    pixels = [torch.stack([clip.mean(dim=(0, 2, 3)) for clip, _ in clips.items[i : i + 4]]) for i in (0, 4, 8)]
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean(0) for x in pixels]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var(0) for x in pixels]).mean(0))
    assert not torch.allclose(before, norm.running_mean), "the running average still remembers its start"
    assert norm.momentum == 0.1 and norm.num_batches_tracked == 3
    assert clips.sampler.epochs[-1] >= 2, "clips that no epoch of the training draws"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_without_precise_bn_nothing_changes(trained: tuple[LAPS, Clips]) -> None:
    method, clips = trained
    method.precise_bn = None
    before = {name: tensor.clone() for name, tensor in method.network.state_dict().items()}
    method.finish(clips, torch.device("cpu"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.network.state_dict().items())


def test_the_defaults_are_the_papers_schedule() -> None:
    method = build_method("laps", OneNorm())
    assert (method.epochs, method.milestones, method.gamma) == (18, [10, 15], 0.1)
