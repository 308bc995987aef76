"""Steps and recipes: what a method does with a network it is given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from vtbench.errors import UsageError
from vtbench.methods import METHODS, build_method
from vtbench.methods.base import Validation, VideoClassifier
from vtbench.methods.msca import MSCA
from vtbench.methods.optimizers import lr_factor

PAPER = {"epochs": 12, "schedule": "step", "milestones": (10,), "gamma": 0.1, "warmup_epochs": 0.0}
RECIPE = {**PAPER, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "label_smoothing": 0.1}


class MeanPixel(nn.Module):
    """Clips (B, T, 3, H, W) to logits (B, 2): a linear function of the mean pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.head(clips.mean(dim=(1, 3, 4)))


def loader(batches: int, batch_size: int = 4) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    items = [(torch.randn(2, 3, 4, 4, generator=generator), int(i % 2)) for i in range(batches * batch_size)]
    return DataLoader(items, batch_size=batch_size)


def trainer(**options: object) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **options,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def fit(method: VideoClassifier, *, batches: int, epochs: int, **options: object) -> L.Trainer:
    made = trainer(max_epochs=epochs, **options)
    made.fit(method, loader(batches))
    return made


def test_learning_rate_falls_tenfold_at_epoch_ten_of_twelve() -> None:
    factors = [lr_factor(epoch, **PAPER) for epoch in (0, 5, 9.999, 10, 11.9)]
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1])


def test_cosine_goes_from_one_to_zero_after_a_linear_warmup() -> None:
    cosine = {"schedule": "cosine", "epochs": 10, "warmup_epochs": 2.0}
    assert lr_factor(1.0, **cosine) == pytest.approx(0.5)
    assert lr_factor(2.0, **cosine) == pytest.approx(1.0)
    assert lr_factor(6.0, **cosine) == pytest.approx(0.5)
    assert lr_factor(10.0, **cosine) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_msca_steps_with_sgd_without_weight_decay_as_section_4_1_says() -> None:
    method = MSCA(MeanPixel(), **RECIPE)
    made = fit(method, batches=3, epochs=12)
    optimizer = made.optimizers[0]
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert (group["momentum"], group["weight_decay"], group["initial_lr"]) == (0.9, 0.0, 0.1)
    assert group["lr"] == pytest.approx(0.01), "after epoch 10 the rate is a tenth"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_accumulation_gives_the_step_of_the_whole_batch() -> None:
    """Ten passes of 2 clips, accumulated, move the weights as one pass of 20 does."""
    moved = []
    for batch_size, accumulate in ((20, 1), (2, 10)):
        torch.manual_seed(0)
        method = MSCA(MeanPixel(), **{**RECIPE, "epochs": 1})
        made = trainer(max_epochs=1, accumulate_grad_batches=accumulate)
        made.fit(method, loader(20 // batch_size, batch_size))
        assert made.global_step == 1
        moved.append(method.network.head.weight.detach().clone())
    torch.testing.assert_close(moved[0], moved[1])


def test_label_smoothing_enters_the_loss() -> None:
    clips, labels = torch.randn(4, 2, 3, 4, 4), torch.tensor([0, 1, 0, 1])
    network = MeanPixel()
    for smoothing in (0.0, 0.1):
        method = VideoClassifier(network, label_smoothing=smoothing)
        method.log = lambda *_, **__: None  # type: ignore[method-assign]
        expected = nn.functional.cross_entropy(network(clips), labels, label_smoothing=smoothing)
        torch.testing.assert_close(method.training_step((clips, labels), 0), expected)


@pytest.mark.parametrize("views_per_forward", [1, 3, 100])
def test_every_view_is_scored_as_if_alone(views_per_forward: int) -> None:
    network = MeanPixel()
    method = VideoClassifier(network, views_per_forward=views_per_forward)
    videos = [
        {"video_id": "a", "label": 0, "views": torch.randn(2, 2, 3, 4, 4)},
        {"video_id": "broken", "label": 1, "error": "moov atom not found"},
        {"video_id": "b", "label": 1, "views": torch.randn(2, 2, 3, 4, 4)},
    ]
    with torch.no_grad():
        scored = method.test_step(videos, 0)["videos"]
        expected = {v["video_id"]: network(v["views"]) for v in videos if "views" in v}
    assert [video["video_id"] for video in scored] == ["a", "broken", "b"]
    for video in scored:
        if "error" not in video:
            torch.testing.assert_close(video["views"], expected[video["video_id"]])
            torch.testing.assert_close(video["scores"], expected[video["video_id"]].mean(dim=0))
    assert method.failures == {"broken": "moov atom not found"}
    assert {name: video["label"] for name, video in method.tested.items()} == {"a": 0, "broken": 1, "b": 1}
    assert all("views" not in video for video in method.tested.values()), "scores of views are not kept"


def test_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no method 'mcsa'; did you mean 'msca'"):
        build_method("mcsa", MeanPixel(), **RECIPE)
    assert set(METHODS) == {"msca", "laps", "pst", "mmvit"}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("ran", "expected"), [(1, 0.5), (2, 0.0), (3, 0.0), (-1, 0.25)])
def test_the_schedule_spans_the_epochs_of_the_recipe_whatever_the_trainers(ran: int, expected: float) -> None:
    method = MSCA(MeanPixel(), optimizer="adamw", lr=1.0, weight_decay=0.0, epochs=2, schedule="cosine")
    steps = {"max_steps": 4} if ran == -1 else {}
    made = fit(method, batches=6, epochs=ran, accumulate_grad_batches=2, **steps)
    assert made.optimizers[0].param_groups[0]["lr"] == pytest.approx(expected)


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        while True:
            yield torch.zeros(2, 3, 4, 4), 0


@pytest.mark.filterwarnings("ignore")
def test_a_schedule_over_data_without_a_length_is_one_line() -> None:
    method = MSCA(MeanPixel(), optimizer="adamw", lr=1.0, weight_decay=0.0, epochs=2, schedule="cosine")
    with pytest.raises(UsageError, match=r"needs the number of batches of an epoch.*limit_train_batches=N"):
        trainer(max_epochs=1).fit(method, DataLoader(Endless(), batch_size=2))
    made = trainer(max_epochs=1, limit_train_batches=3)
    made.fit(method, DataLoader(Endless(), batch_size=2))
    assert made.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.5)


# ---- settings of the papers' codes ---------------------------------------------------------------------------------


def mmcv_rate(iteration: int, per_epoch: int, *, epochs: int, warmup_epochs: float, warmup_ratio: float) -> float:
    """What mmcv's CosineAnnealing by epoch with a linear warm-up multiplies the rate by (LrUpdaterHook): the cosine of
    the epoch, which the warm-up lowers in every iteration."""
    regular = 0.5 * (1 + math.cos(math.pi * (iteration // per_epoch) / epochs))
    warmup = warmup_epochs * per_epoch
    if iteration >= warmup:
        return regular
    return regular * (1 - (1 - iteration / warmup) * (1 - warmup_ratio))


def test_cosine_by_epoch_is_mmcvs_in_every_iteration() -> None:
    recipe = {"epochs": 30, "warmup_epochs": 2.5}
    for iteration in range(30 * 8):
        ours = lr_factor(iteration / 8, schedule="cosine_by_epoch", warmup_start=0.1, **recipe)
        assert ours == pytest.approx(mmcv_rate(iteration, 8, warmup_ratio=0.1, **recipe), rel=1e-12)
    assert lr_factor(0.0, schedule="cosine_by_epoch", warmup_start=0.1, **recipe) == pytest.approx(0.1)
    gaps = [
        lr_factor(e, schedule="cosine", **recipe) / lr_factor(e, schedule="cosine_by_epoch", **recipe) for e in (5, 28)
    ]
    assert gaps == pytest.approx([1.05, 1.19], abs=0.005)


def test_a_warm_up_starts_where_it_is_told_under_every_schedule() -> None:
    assert lr_factor(0.0, schedule="constant", epochs=4, warmup_epochs=2.0, warmup_start=0.2) == pytest.approx(0.2)
    assert lr_factor(1.0, schedule="constant", epochs=4, warmup_epochs=2.0, warmup_start=0.2) == pytest.approx(0.6)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_settings_of_the_optimiser_reach_it() -> None:
    sgd = fit(MSCA(MeanPixel(), **RECIPE, nesterov=True), batches=1, epochs=1).optimizers[0]
    assert sgd.param_groups[0]["nesterov"] is True
    adamw = {**RECIPE, "optimizer": "adamw", "momentum": None, "weight_decay": 0.1}
    method = MSCA(MeanPixel(), **adamw, betas=(0.8, 0.9), no_decay=("bias",))
    groups = fit(method, batches=1, epochs=1).optimizers[0].param_groups
    assert [(len(g["params"]), g["betas"], g["weight_decay"]) for g in groups] == [
        (1, (0.8, 0.9), 0.1),
        (1, (0.8, 0.9), 0.0),
    ]
    assert groups[1]["params"][0] is method.network.head.bias


@pytest.mark.parametrize(("how", "std"), [("zero", None), ("normal", 0.01), ("trunc_normal", 0.02)])
def test_a_head_starts_as_the_recipe_says(how: str, std: float | None) -> None:
    network = nn.Module()
    network.head = nn.Linear(300, 400)
    nn.init.ones_(network.head.bias)
    MSCA(network, **RECIPE, head_init=how, head_std=std)
    assert float(network.head.weight.detach().std()) == pytest.approx(std or 0.0, rel=0.02)
    assert not network.head.bias.any()


def test_a_head_that_is_not_there_is_one_line() -> None:
    with pytest.raises(
        UsageError, match=r"^head_init needs a network whose `head` is a linear layer; Flatten has none$"
    ):
        MSCA(nn.Flatten(), **RECIPE, head_init="zero")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head_init": "zero", "head_std": 0.1}, "head_std belongs to the head_init normal and trunc_normal"),
        (
            {"head_init": "normal"},
            "head_std belongs to the head_init normal and trunc_normal, which needs it; it is missing",
        ),
        ({"betas": (0.9, 0.99)}, r"betas is \(0.9, 0.99\), must be left out with the optimizer sgd"),
        (
            {"optimizer": "adamw", "momentum": None, "nesterov": True},
            "nesterov is True, must be left out with the optimizer",
        ),
        ({"warmup_start": 1.0}, "warmup_start is 1.0, must be below 1"),
        ({"head_init": "ones"}, "head_init is 'ones', must be one of zero, normal, trunc_normal"),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        MSCA(MeanPixel(), **{**RECIPE, **given})


@pytest.mark.parametrize(("name", "crops"), [("msca", 3), ("laps", 3), ("pst", 1)])
def test_the_best_epoch_on_the_test_set_is_kept_where_it_is_asked_for(name: str, crops: int) -> None:
    method = build_method(name, MeanPixel(), **RECIPE, keep="best_on_test")
    assert method.validation == Validation(crops=crops, keep_best=True)
    assert method.selection == "best of 12 epochs on the test set"
    assert build_method(name, MeanPixel(), **RECIPE).validation is None
