"""MM-ViT's recipe: the plateau that lowers the rate, what is never trained, and clips of several modalities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vtbench.errors import UsageError
from vtbench.methods import build_method
from vtbench.methods.mmvit import MMViT

B, T, K = 4, 2, 3
SGD = {"optimizer": "sgd", "lr": 0.5, "momentum": 0.0, "weight_decay": 0.0, "epochs": 30}
PLATEAU = {**SGD, "schedule": "plateau", "gamma": 0.1, "patience": 1, "holdout": 0.1}


class Network(nn.Module):
    """Logits from the mean of every modality."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, K)

    def forward(self, clips: dict[str, Tensor]) -> Tensor:
        means = [clips[name].flatten(1).mean(1) for name in ("iframe", "audio")]
        return self.head(torch.stack(means, dim=1))


class Ear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.drop = nn.Dropout(0.5)

    def forward(self, patches: Tensor) -> Tensor:
        assert patches.shape[1:] == (96, 64)
        return self.drop(self.scale * patches[:, 0, :5])


def clips(number: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(number)
    return {
        "iframe": torch.randn(B, T, 3, 8, 8, generator=generator),
        "audio": torch.randn(B, T, 96, 64, generator=generator),
    }


class Data(L.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader([(clips(i), torch.arange(B) % K) for i in range(2)], collate_fn=lambda items: items[0])

    def val_dataloader(self) -> DataLoader:
        views = clips(9)
        items = [
            {"video_id": str(i), "label": i, "views": {name: x[2 * i : 2 * i + 2] for name, x in views.items()}}
            for i in range(2)
        ]
        return DataLoader(items, batch_size=2, collate_fn=list)


def method(monkeypatch: pytest.MonkeyPatch, accuracies: list[float], **recipe: Any) -> MMViT:
    """One whose accuracy on the held-out videos is what the test says."""
    made = build_method("mmvit", Network(), audio_encoder=Ear(), **{**PLATEAU, **recipe})
    assert isinstance(made, MMViT)
    found = iter(accuracies)
    monkeypatch.setattr("vtbench.methods.base.measure", lambda *_, **__: {"top1": next(found)})
    return made


def fit(made: MMViT, folder: Path, epochs: int, checkpoint: Path | None = None) -> list[float]:
    """The rate after every epoch."""
    rates: list[float] = []

    class Watch(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])
            trainer.save_checkpoint(folder / "last.ckpt")

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[Watch()], enable_checkpointing=False, num_sanity_val_steps=0,
        default_root_dir=folder, **quiet,
    )  # fmt: skip
    trainer.fit(made, Data(), ckpt_path=checkpoint, weights_only=True)
    return rates


@pytest.mark.filterwarnings("ignore")
def test_the_rate_falls_when_the_accuracy_has_not_risen_for_longer_than_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = method(monkeypatch, [50, 60, 60, 60, 61, 10, 10], lr=0.5)
    assert fit(made, tmp_path, 7) == pytest.approx([0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.005])


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_training_remembers_its_plateau(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = [50.0, 40, 40, 40, 40, 40]
    whole = method(monkeypatch, accuracies, lr=0.5)
    whole.network.load_state_dict(Network().state_dict() | {"head.bias": torch.zeros(K)})
    start = {name: tensor.clone() for name, tensor in whole.network.state_dict().items()}
    rates = fit(whole, tmp_path, 6)

    first = method(monkeypatch, accuracies[:2], lr=0.5)
    first.network.load_state_dict(start)
    half = fit(first, tmp_path, 2)
    second = method(monkeypatch, accuracies[2:], lr=0.5)
    half += fit(second, tmp_path, 6, checkpoint=tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert set(saved) == {"network.head.weight", "network.head.bias"}  # the audio encoder is given, not kept
    assert half == pytest.approx(rates) and rates[-1] < rates[0]
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name])


@pytest.mark.filterwarnings("ignore")
def test_the_audio_encoder_is_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = method(monkeypatch, [1, 2], lr=0.5)
    before = made.network.head.weight.detach().clone()
    fit(made, tmp_path, 2)
    assert made.audio_encoder is not None
    assert torch.equal(made.audio_encoder.scale, torch.ones(1)) and not made.audio_encoder.training
    assert not torch.equal(made.network.head.weight, before)


def test_other_schedules_are_those_of_every_method() -> None:
    recipe = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.0, "epochs": 3}
    made = build_method("mmvit", Network(), schedule="cosine", warmup_epochs=0.5, **recipe)
    assert isinstance(made, MMViT) and not made.on_plateau and made.schedule == "cosine"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patience": None}, "patience belongs to the schedule plateau, which needs it; it is missing"),
        ({"holdout": None}, "holdout belongs to the schedule plateau, which needs it; it is missing"),
        ({"gamma": None}, "gamma belongs to the schedule step and plateau, which needs it; it is missing"),
        ({"warmup_epochs": 1.0}, "warmup_epochs is 1.0, must be 0 with the schedule plateau"),
        (
            {"schedule": "cosine", "gamma": None},
            "patience belongs to the schedule plateau.*; it is given with",
        ),
        (
            {"schedule": "plato"},
            "schedule is 'plato', must be one of plateau, step, cosine, cosine_by_epoch, constant; did you mean",
        ),
    ],
)
def test_a_plateau_needs_what_it_is_watched_by_and_no_warm_up(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_method("mmvit", Network(), **{**PLATEAU, **changed})


def test_views_are_scored_whatever_the_size_of_the_parts() -> None:
    scores = []
    for size in (1, 3, 32):
        made = build_method("mmvit", Network(), audio_encoder=Ear(), **PLATEAU)
        made.views_per_forward = size
        made.network.load_state_dict({"head.weight": torch.ones(K, 2), "head.bias": torch.arange(K).float()})
        unreadable = {"video_id": "b", "label": 1, "error": "no"}
        video, _ = made.test_step([{"video_id": "a", "label": 0, "views": clips(0)}, unreadable], 0)["videos"]
        assert video["views"].shape == (B, K) and made.failures == {"b": "no"}
        scores.append(video["scores"])
    assert torch.allclose(scores[0], scores[1]) and torch.allclose(scores[0], scores[2])
