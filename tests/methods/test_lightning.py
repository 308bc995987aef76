"""What a Lightning user does works with every method: fit, validate, test, predict, checkpoints, callbacks, the CLI."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vtbench.errors import RunError, UsageError
from vtbench.methods.base import ScheduledClassifier
from vtbench.methods.laps import LAPS
from vtbench.methods.mmvit import MMViT
from vtbench.methods.msca import MSCA
from vtbench.methods.pst import PST

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

K, T = 5, 2
RECIPE: dict[str, Any] = {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.0, "epochs": 3, "schedule": "cosine"}
VIT = {
    "name": "vit", "num_classes": K, "num_frames": T, "img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 1,
    "num_heads": 2,
}  # fmt: skip


class Videos(L.LightningDataModule):
    """Clips whose label is their brightness; the last test video cannot be read."""

    num_classes = K

    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.batch_size = batch_size
        generator = torch.Generator().manual_seed(0)
        self.items = [(torch.randn(T, 3, 16, 16, generator=generator) / 10 + i % K, i % K) for i in range(20)]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.items, batch_size=self.batch_size)

    def views(self) -> DataLoader:
        videos = [
            {"video_id": f"v{i}", "label": label, "views": torch.stack([clip, clip + 0.1])}
            for i, (clip, label) in enumerate(self.items[:9])
        ]
        return DataLoader(
            [*videos, {"video_id": "v9", "label": 0, "error": "not a video"}], batch_size=4, collate_fn=list
        )

    def val_dataloader(self) -> DataLoader:
        return self.views()

    def test_dataloader(self) -> DataLoader:
        return self.views()

    def predict_dataloader(self) -> DataLoader:
        return self.views()


class Brightness(nn.Module):
    """A network of the user's own."""

    def __init__(self, num_classes: int = K) -> None:
        super().__init__()
        self.head = nn.Linear(3, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        return self.head(clips.mean(dim=(1, 3, 4)))


def trainer(folder: Path, **options: Any) -> L.Trainer:
    return L.Trainer(
        default_root_dir=folder, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, **{"max_epochs": 3, "enable_checkpointing": False, **options},
    )  # fmt: skip


def scores(given: list[Any]) -> Tensor:
    return torch.stack([video["scores"] for batch in given for video in batch if "scores" in video])


def test_fit_validate_test_and_predict_log_and_give_what_their_names_say(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, data = MSCA(Brightness(), **{**RECIPE, "epochs": 40, "lr": 0.3}), Videos()
    made = trainer(tmp_path, max_epochs=40)
    made.fit(module, data)
    assert {"train_loss", "train_top1", "val_top1", "val_top5"} <= set(made.callback_metrics)
    (tested,) = made.test(module, data, verbose=False)
    assert set(tested) == {"test_top1", "test_top5", "test_videos_failed"}
    # All readable videos are right; the one that could not be read is a miss.
    assert tested == {"test_top1": 90.0, "test_top5": 90.0, "test_videos_failed": 1.0}
    (validated,) = made.validate(module, data, verbose=False)
    assert validated["val_top1"] == 90.0
    predicted = [video for batch in made.predict(module, data) or [] for video in batch]
    assert [video["video_id"] for video in predicted] == [f"v{i}" for i in range(10)]
    assert predicted[0]["views"].shape == (2, K) and predicted[0]["scores"].shape == (K,)
    torch.testing.assert_close(predicted[0]["scores"], predicted[0]["views"].mean(dim=0))
    assert predicted[9]["error"] == "not a video" and "scores" not in predicted[9]


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        (MSCA, {}),
        (LAPS, {"precise_bn": 2}),
        (PST, {"backbone_lr": 0.1}),
        (MMViT, {"schedule": "plateau", "gamma": 0.1, "patience": 1, "holdout": 0.2}),
    ],
)
def test_a_checkpoint_of_a_network_built_by_name_needs_no_other_argument(
    method: type[ScheduledClassifier], extra: dict[str, Any], tmp_path: Path
) -> None:
    data = Videos()
    if method is MMViT:  # which refuses to follow videos that cannot be read
        data.val_dataloader = lambda: DataLoader(list(data.views().dataset)[:9], collate_fn=list)  # type: ignore
    module = method(VIT, **{**RECIPE, **extra})
    made = trainer(tmp_path, max_epochs=1)
    made.fit(module, data)
    made.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert saved["network"] == VIT and saved["optimizer"] == "adamw"
    assert {name: saved[name] for name in extra} == extra
    loaded = method.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    before, after = (scores(trainer(tmp_path).predict(m, data) or []) for m in (module, loaded))
    assert torch.equal(before, after)


def test_a_checkpoint_of_a_network_of_ones_own_takes_the_network(tmp_path: Path) -> None:
    data, module = Videos(), MSCA(Brightness(), **RECIPE)
    made = trainer(tmp_path)
    made.fit(module, data)
    made.save_checkpoint(tmp_path / "last.ckpt")
    loaded = MSCA.load_from_checkpoint(tmp_path / "last.ckpt", network=Brightness(), weights_only=True)
    before, after = (scores(trainer(tmp_path).predict(m, data) or []) for m in (module, loaded))
    assert torch.equal(before, after) and loaded.lr == 0.01


def test_callbacks_of_lightning_watch_the_validation(tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, monitor="val_top1", mode="max", filename="best")
    stop = EarlyStopping(monitor="val_top1", mode="max", patience=1)
    made = trainer(tmp_path, max_epochs=50, callbacks=[best, stop], enable_checkpointing=True)
    made.fit(MSCA(VIT, **{**RECIPE, "epochs": 50, "lr": 1e-9}), Videos())
    assert made.current_epoch < 50 and stop.stopped_epoch > 0
    assert Path(best.best_model_path).exists() and best.best_model_score == made.callback_metrics["val_top1"]


class LogsByLightning(MSCA):
    """Has Lightning make the means of an epoch, too."""

    def training_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        for name, value in self.last_step.items():
            self.log(f"theirs_{name}", value, on_step=False, on_epoch=True, batch_size=len(batch[1]))
        return loss


class Fails(L.Callback):
    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == 2:
            raise RuntimeError("in the middle of an epoch")


@pytest.mark.parametrize("options", [{"max_epochs": 2}, {"max_epochs": -1, "max_steps": 10}])
def test_the_means_of_an_epoch_are_those_that_lightning_makes_to_the_bit(
    options: dict[str, Any], tmp_path: Path
) -> None:
    module, data = LogsByLightning(Brightness(), **RECIPE), Videos(batch_size=3)  # 7 batches, the last of 2
    with pytest.raises(RuntimeError, match="in the middle"):
        trainer(tmp_path, callbacks=[Fails()]).fit(module, data)
    best = ModelCheckpoint(tmp_path, monitor="train_loss", save_on_train_epoch_end=True)
    made = trainer(tmp_path, callbacks=[best], enable_checkpointing=True, **options)
    made.fit(module, data)
    logged = made.callback_metrics
    assert torch.equal(logged["train_loss"], logged["theirs_loss"])
    assert torch.equal(logged["train_top1"], logged["theirs_top1"])
    assert best.current_score == logged["train_loss"] and 0 < logged["train_top1"] < 100


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": "lamp"}, "optimizer is 'lamp', must be one of sgd, adam, adamw, .*; did you mean 'lamb'"),
        ({"schedule": "linear"}, "schedule is 'linear', must be one of step, cosine, cosine_by_epoch, constant"),
        ({"schedule": "step"}, "milestones belongs to the schedule step, which needs it; it is missing"),
        ({"optimizer": "sgd"}, "momentum belongs to the optimizer sgd, which needs it; it is missing"),
        ({"average": "logit"}, "average is 'logit', must be one of logits, probabilities; did you mean 'logits'"),
        ({"metrics": ["tops1"]}, "no metric 'tops1'; did you mean 'top1'"),
        ({"momentum": 0.9}, "momentum belongs to the optimizer sgd, which needs it; it is given with adamw"),
    ],
)
def test_what_does_not_exist_or_go_together_is_one_line(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        trainer(tmp_path).fit(MSCA(Brightness(), **{**RECIPE, **changed}), Videos())


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_a_network_for_another_number_of_classes_is_one_line(stage: str, tmp_path: Path) -> None:
    module = MSCA(Brightness(num_classes=3), **RECIPE)
    with pytest.raises(
        UsageError, match="gives 3 scores for a clip, and the data set has 5 classes; build it with num_classes=5"
    ):
        getattr(trainer(tmp_path, num_sanity_val_steps=0), stage)(module, Videos())


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimizers_are_torchs_own_where_torch_has_them(name: str, kind: type, tmp_path: Path) -> None:
    momentum = {"momentum": 0.9} if name == "sgd" else {}
    made = trainer(tmp_path, max_epochs=1)
    made.fit(MSCA(Brightness(), **{**RECIPE, "optimizer": name, **momentum}), Videos())
    assert type(made.optimizers[0]) is kind and not made.optimizers[0].defaults.get("nesterov")


@pytest.mark.parametrize("name", ["nadamw", "lamb", "lion"])
def test_optimizers_that_torch_lacks_train_too(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = MSCA(Brightness(), **{**RECIPE, "optimizer": name, "epochs": 5})
    made = trainer(tmp_path, max_epochs=5)
    before = module.network.head.weight.detach().clone()  # type: ignore[union-attr,operator]
    made.fit(module, Videos())
    assert not torch.equal(before, module.network.head.weight)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_command_line_of_lightning_shows_and_takes_every_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "fit", "--help"])
    with pytest.raises(SystemExit):
        LightningCLI(MMViT, Videos)
    shown = capsys.readouterr().out
    arguments = ("network", "optimizer", "lr", "weight_decay", "epochs", "warmup_epochs", "schedule", "momentum",
                 "milestones", "gamma", "patience", "holdout", "label_smoothing", "average", "metrics")  # fmt: skip
    assert [name for name in arguments if f"--model.{name}" not in shown] == []
    options = {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False,
               "enable_progress_bar": False, "enable_model_summary": False}  # fmt: skip
    recipe = {**RECIPE, "warmup_epochs": 0.5, "network": VIT}
    arguments = {"trainer": options, "data": {"batch_size": 2}, "model": recipe}
    made = LightningCLI(PST, Videos, args=arguments, run=False, save_config_callback=None)
    assert made.model.warmup_epochs == 0.5 and made.datamodule.batch_size == 2
    made.trainer.fit(made.model, made.datamodule)
    assert made.trainer.current_epoch == 1
    (tested,) = made.trainer.test(made.model, made.datamodule, verbose=False)
    assert 0 <= tested["test_top1"] <= 100


def views_of(*numbers: int) -> DataLoader:
    """Videos with so many views each, of the label and brightness of their place."""
    videos = [
        {"video_id": f"v{i}", "label": i, "views": torch.full((number, T, 3, 16, 16), float(i))}
        for i, number in enumerate(numbers)
    ]
    return DataLoader(videos, batch_size=len(numbers), collate_fn=list)


def test_videos_of_one_batch_may_have_different_numbers_of_views(tmp_path: Path) -> None:
    module = MSCA(Brightness(), **RECIPE)
    (batch,) = trainer(tmp_path).predict(module, views_of(1, 3, 2)) or []
    assert [len(video["views"]) for video in batch] == [1, 3, 2]
    for i, video in enumerate(batch):
        torch.testing.assert_close(video["scores"], module(torch.full((1, T, 3, 16, 16), float(i)))[0].detach())


def test_where_no_video_can_be_read_every_video_is_a_miss(tmp_path: Path) -> None:
    videos = [{"video_id": f"v{i}", "label": i, "error": "not a video"} for i in range(3)]
    (tested,) = trainer(tmp_path).test(MSCA(VIT, **RECIPE), DataLoader(videos, collate_fn=list), verbose=False)
    assert tested == {"test_top1": 0.0, "test_top5": 0.0, "test_videos_failed": 3.0}


def test_only_the_validations_of_a_training_move_the_plateau(tmp_path: Path) -> None:
    module = MMViT(VIT, **{**RECIPE, "schedule": "plateau", "gamma": 0.1, "patience": 1, "holdout": 0.2})
    made, data = trainer(tmp_path, max_epochs=2, num_sanity_val_steps=2), Videos()
    made.fit(module, data.train_dataloader(), views_of(1, 1))
    assert module.plateau is not None and module.plateau.last_epoch == 2
    made.validate(module, views_of(1, 1), verbose=False)
    assert module.plateau.last_epoch == 2


def test_precise_batch_norm_without_training_clips_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="precise_bn needs training clips; validate with a data module"):
        trainer(tmp_path).validate(LAPS(VIT, **RECIPE, precise_bn=2), views_of(1), verbose=False)


def test_an_argument_that_no_method_has_is_one_line_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"PST has no argument 'backbone_lrr'; did you mean 'backbone_lr'\?"):
        PST(VIT, **RECIPE, backbone_lrr=0.1)
    with pytest.raises(UsageError, match=r"MSCA has no argument 'warmup_epoch'; did you mean 'warmup_epochs'\?"):
        MSCA(VIT, **RECIPE, warmup_epoch=1)
    with pytest.raises(UsageError, match=r"vit\(\) has no argument 'dept'; did you mean 'depth'?"):
        MSCA({**VIT, "dept": 3}, **RECIPE)


def test_scores_that_are_not_finite_are_no_result(tmp_path: Path) -> None:
    network = Brightness()
    torch.nn.init.constant_(network.head.weight, float("nan"))
    with pytest.raises(RunError, match="video v0: its scores are not finite; the training has diverged"):
        trainer(tmp_path).test(MSCA(network, **RECIPE), Videos())


def test_a_loader_of_clips_is_no_test_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a batch to test is a list of videos.*collate_fn=list"):
        trainer(tmp_path).test(MSCA(Brightness(), **RECIPE), Videos().train_dataloader())


def test_a_plateau_needs_a_validation(tmp_path: Path) -> None:
    class Unvalidated(Videos):
        def val_dataloader(self) -> Any:
            return []

    module = MMViT(VIT, **{**RECIPE, "schedule": "plateau"}, gamma=0.1, patience=1, holdout=0.2)
    with pytest.raises(UsageError, match="the schedule plateau needs a validation; give the data module validate_on"):
        trainer(tmp_path).fit(module, Unvalidated())


@pytest.mark.parametrize(
    ("method", "changed", "message"),
    [
        (MSCA, {"lr": -1.0}, "lr is -1.0, must be above 0"),
        (MSCA, {"epochs": 0}, "epochs is 0, must be at least 1"),
        (MSCA, {"label_smoothing": 1.5}, "label_smoothing is 1.5, must be at most 1"),
        (MSCA, {"schedule": "step", "gamma": 0.1, "milestones": [0, 2]}, "milestones is 0, must be at least 1"),
        (PST, {"backbone_lr": 0.0}, "backbone_lr is 0.0, must be above 0"),
        (
            MMViT,
            {"schedule": "plateau", "gamma": 0.1, "patience": 1, "holdout": 1.0},
            "holdout is 1.0, must be below 1",
        ),
        (LAPS, {"precise_bn": 0}, "precise_bn is 0, must be at least 1"),
    ],
)
def test_bounds_hold_in_python_too(method: type[ScheduledClassifier], changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        method(VIT, **{**RECIPE, **changed})


class Fading(MSCA):
    """A method of the user's with a rule of its own."""

    needs = {"half_life": ("fading", "exponential")}  # noqa: RUF012

    def __init__(self, network: Any, *, fading: str = "none", half_life: float | None = None, **recipe: Any) -> None:
        super().__init__(network, **recipe)


def test_rules_of_a_method_of_ones_own_hold_in_python_too() -> None:
    Fading(VIT, **RECIPE)
    with pytest.raises(UsageError, match="half_life belongs to the fading exponential, which needs it; it is missing"):
        Fading(VIT, **RECIPE, fading="exponential")
    with pytest.raises(UsageError, match="momentum belongs to the optimizer sgd, which needs it; it is given with"):
        Fading(VIT, **RECIPE, momentum=0.9)
