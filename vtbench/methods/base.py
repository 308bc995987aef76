"""The steps that every method shares (VideoClassifier), and the optimisation that most share (ScheduledClassifier).
What a paper does differently is in its own file.

B clips, T frames, V views of one video, K classes. Clips are what vtbench.clips says. All of it works with a plain
`lightning.Trainer`:

    module = MSCA({"name": "vit", "num_classes": 4, ...}, **recipe)
    trainer.fit(module, data)          # logs train_loss, train_top1; val_top1, val_top5 where `data` holds videos out
    trainer.test(module, data)         # logs test_top1, test_top5, test_videos_failed
    trainer.predict(module, data)      # scores of every view and every video
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypedDict, get_args

import lightning as L
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn
from torch.nn import functional as F

from vtbench.clips import Clips, map_modalities, split
from vtbench.errors import RunError, UsageError
from vtbench.evaluation import measure, metric_function
from vtbench.evaluation.multiview import average_views
from vtbench.methods import processes
from vtbench.methods.arguments import check_arguments, refuse_unknown
from vtbench.methods.head import HeadInit, start_head
from vtbench.methods.means import ClipMeans
from vtbench.methods.optimizers import Optimizer, Schedule, build_optimizer, known_name, lr_factor
from vtbench.metrics import METRICS, always_measured
from vtbench.models import build, build_audio_encoder

__all__ = ["ScheduledClassifier", "ScoredVideo", "Validation", "VideoClassifier"]


class ScoredVideo(TypedDict, total=False):
    """One tested video, as `test_step` and `predict_step` give it."""

    video_id: str
    label: int
    views: Tensor
    """Logits (V, K) of its views, float32 on the CPU; not there if it could not be read."""
    scores: Tensor
    """Scores (K,) of the video: the mean over its views."""
    error: str
    """Why it could not be read."""
    note: str
    """What is to be said of a video that could be read, a missing audio track for example."""
    distinct_views: int
    """How many of its views differ."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a run validates on after every epoch, because the recipe of a paper needs it."""

    holdout: float | None = None
    """Share of the training videos that is held out for it; None: the test videos, as some official codes do."""
    crops: int = 1
    """Crops of each clip, along its longer side."""
    keep_best: bool = False
    """Whether the weights of the epoch with the best `val_top1` are the result; otherwise those of the last epoch."""


class VideoClassifier(L.LightningModule):
    """Cross-entropy on clips in training; scores of videos, from several views each, in validation and testing."""

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
        average: Literal["logits", "probabilities"] = "logits",
        metrics: Sequence[str] = always_measured(),
        views_per_forward: int = 32,
        audio_encoder: nn.Module | Mapping[str, Any] | None = None,
    ) -> None:
        """
        - network: maps clips (B, T, 3, H, W) to logits (B, K), or clips by modality; or its name and arguments, as
          {"name": "vit", "num_classes": 4, ...} for vtbench.models.build. With the latter, `load_from_checkpoint` needs
          nothing but the file.
        - label_smoothing: of the training loss
        - average: what is averaged over the views of a video
        - metrics: what is logged as `val_*` and `test_*`, names of vtbench.metrics.METRICS
        - views_per_forward: bounds the memory of a test step; it does not change the scores beyond rounding
        - audio_encoder: makes features (B, T, D) of the log-mel patches in clips, and is never trained; or its name and
          file of weights, as {"name": "vggish", "weights": "vggish.pth"} for vtbench.models.build_audio_encoder

        All but modules are hyperparameters, kept in a checkpoint as plain values.
        """
        super().__init__()
        modules = {"network": network, "audio_encoder": audio_encoder}
        ignore = [name for name, module in modules.items() if isinstance(module, nn.Module)]
        self.save_hyperparameters(ignore=ignore, logger=False)
        check_arguments(type(self), self.hparams)
        self.network = network if isinstance(network, nn.Module) else build(**network)
        if isinstance(audio_encoder, Mapping):
            audio_encoder = build_audio_encoder(**audio_encoder)
        self.audio_encoder = None if audio_encoder is None else audio_encoder.requires_grad_(False)
        known_name("average", average, ("logits", "probabilities"))
        for name in metrics:
            metric_function(name)  # refuses an unknown one now, not after the first epoch
        self.label_smoothing = label_smoothing
        self.average = average
        self.metrics = tuple(metrics)
        self.views_per_forward = views_per_forward
        self.last_step: dict[str, Tensor] = {}  # loss and top1 (percent) of the last training batch, on its device
        self.epoch_means = ClipMeans()  # of the training batches so far
        self._tested: dict[str, ScoredVideo] = {}

    @property
    def validation(self) -> Validation | None:
        """What a run validates on; None: on nothing."""
        return None

    @property
    def selection(self) -> str:
        """What the choices behind the final weights looked at, in the words of results.csv."""
        return "last epoch"

    def forward(self, clips: Clips) -> Tensor:
        """Clips to logits (B, K)."""
        if not isinstance(clips, Tensor) and "audio" in clips:
            clips = {**clips, "audio": self._encode_audio(clips["audio"])}
        logits: Tensor = self.network(clips)
        return logits

    @torch.no_grad()
    def _encode_audio(self, patches: Tensor) -> Tensor:
        """Log-mel patches (B, T, 96, 64) to features (B, T, D)."""
        if self.audio_encoder is None:
            raise UsageError("the clips have audio; give the method an audio_encoder")
        features: Tensor = self.audio_encoder.eval()(patches.flatten(0, 1))
        return features.unflatten(0, patches.shape[:2])

    def _logits(self, clips: Clips) -> Tensor:
        """Logits of clips. Raises UsageError for what is not logits (B, K), and where the network was built for another
        number of classes."""
        logits = self(clips)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise UsageError(f"the network gives {found}; logits (clips, classes) are wanted")
        classes = getattr(getattr(self._trainer, "datamodule", None), "num_classes", None)
        if classes is not None and logits.shape[-1] != classes:
            raise UsageError(
                f"the network gives {logits.shape[-1]} scores for a clip, and the data set has {classes} classes; "
                f"build it with num_classes={classes}"
            )
        return logits

    # ---- training ----------------------------------------------------------------------------------------------------

    def training_step(self, batch: tuple[Clips | None, Tensor], batch_idx: int) -> Tensor:
        """Mean cross-entropy of a batch of clips and labels (B,). Where none of its videos could be read (None), 0: the
        step that the batch is a part of is still taken."""
        clips, labels = batch
        if clips is None:
            loss = torch.stack([0 * p.sum() for p in self.parameters() if p.requires_grad]).sum()
            top1 = loss
        else:
            logits = self._logits(clips)
            loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
            top1 = 100 * (logits.detach().argmax(dim=1) == labels).float().mean()
            self.last_step = {"loss": loss.detach(), "top1": top1}
        self.epoch_means.add(len(labels), train_loss=loss, train_top1=top1)
        return loss if processes.number() == 1 else loss * self._weight_of(len(labels), batch_idx, loss.device)

    def on_fit_start(self) -> None:
        """Forget the batches of a training that ended inside an epoch."""
        self.epoch_means.clear()

    def on_train_epoch_end(self) -> None:
        """Log the mean loss and top-1 of the epoch; a subclass that has this hook calls it first. Of callbacks,
        Lightning's ModelCheckpoint and EarlyStopping and whatever is a Checkpoint come after it, others before."""
        for name, value in self.epoch_means.means().items():
            self.log(name, value, batch_size=1, sync_dist=processes.number() > 1)
        self.epoch_means.clear()

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """As Lightning does it, but for fsdp, where each process has a part of the gradient."""
        together = getattr(self.trainer.model, "clip_grad_norm_", None)
        if together is None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            together(gradient_clip_val)

    def _weight_of(self, clips: int, batch_idx: int, device: torch.device) -> float | Tensor:
        """What makes the mean over processes of a step's gradients that of a single process, which sees all clips of a
        batch together, the last and smaller one of an epoch included."""
        part = getattr(getattr(self.trainer, "datamodule", None), "part_of_batch", None)
        return processes.mean_weight(clips, device) * (1.0 if part is None else part(batch_idx))

    # ---- validation, test, prediction --------------------------------------------------------------------------------

    @property
    def tested(self) -> Mapping[str, ScoredVideo]:
        """The videos of the last validation or test by id, without the logits of their views."""
        return self._tested

    @property
    def failures(self) -> dict[str, str]:
        """Of the last validation or test, the videos that could not be read -> why."""
        return {name: video["error"] for name, video in self._tested.items() if "error" in video}

    def test_step(self, batch: list[dict[str, Any]], batch_idx: int) -> dict[str, list[ScoredVideo]]:
        """Score every view of some videos; each has `video_id`, `label`, and `views` (V, T, 3, H, W), maybe with a
        `note`, or `error`. Gives them as `videos`."""
        scored = self._score(batch)
        for video in scored:
            kept = {name: value for name, value in video.items() if name != "views"}
            self._tested[video["video_id"]] = kept  # type: ignore[assignment]
        return {"videos": scored}

    def validation_step(self, batch: list[dict[str, Any]], batch_idx: int) -> dict[str, list[ScoredVideo]]:
        """As a test step."""
        return self.test_step(batch, batch_idx)

    def predict_step(self, batch: list[dict[str, Any]], batch_idx: int) -> list[ScoredVideo]:
        """The scores of some videos and of each of their views."""
        return self._score(batch)

    def _score(self, batch: Sequence[Mapping[str, Any]]) -> list[ScoredVideo]:
        if not isinstance(batch, Sequence) or not all(
            isinstance(video, Mapping) and "video_id" in video for video in batch
        ):
            raise UsageError(
                "a batch to test is a list of videos, each with video_id, label and views, as vtbench.datasets gives; "
                "a loader of such videos needs collate_fn=list"
            )
        scored = []
        for video in batch:
            given = {name: value for name, value in video.items() if name != "views"}
            if "label" in video:
                given["label"] = int(video["label"])
            scored.append(ScoredVideo(**given))  # type: ignore[typeddict-item]
        readable = [(video, one["views"]) for video, one in zip(scored, batch, strict=True) if "error" not in one]
        if readable:
            together = map_modalities(
                lambda *several: torch.cat(several), *(views for _, views in readable)
            )  # (sum of V, T, ...)
            logits = torch.cat([self._logits(part) for part in split(together, self.views_per_forward)]).float().cpu()
            sizes = [len(next(iter(views.values())) if isinstance(views, Mapping) else views) for _, views in readable]
            for (video, _), views in zip(readable, logits.split(sizes), strict=True):
                if not torch.isfinite(views).all():
                    raise RunError(f"video {video['video_id']}: its scores are not finite; the training has diverged")
                video["views"] = views.clone()
                video["scores"] = average_views(views, self.average)
        return scored

    def on_test_start(self) -> None:
        """Forget the videos of an earlier test."""
        self._tested = {}

    def on_validation_start(self) -> None:
        """Forget the videos of an earlier validation. Every process judges the same network: what a batch norm has seen
        in training is that of the first one, whose weights are kept."""
        self._tested = {}
        processes.copied_from_first(list(self.network.buffers()))

    def on_test_epoch_end(self) -> None:
        """Log the metrics of all videos, in percent; one that could not be read is a miss. Of several processes, each
        logs those of its share: one of them may have none, and does not come here."""
        self._log_metrics("test")

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of all videos, in percent; one that could not be read is a miss."""
        self._gather_tested()
        self._log_metrics("val")

    def _gather_tested(self) -> None:
        """Have the videos that all processes validated on, in the order in which one process would have done it. Raises
        RunError for one that two of them did."""
        shares = [list(share.items()) for share in processes.of_all(self._tested)]
        in_turn = [share[turn] for turn in range(max(map(len, shares))) for share in shares if turn < len(share)]
        if twice := [name for name, times in Counter(name for name, _ in in_turn).items() if times > 1]:
            raise RunError(f"video {twice[0]}: two processes validated on it; a data module must share the videos out")
        self._tested = dict(in_turn)

    def _log_metrics(self, stage: str) -> None:
        scored = [video for video in self._tested.values() if "scores" in video]
        if not self._tested:
            return
        if scored:
            values = measure(
                torch.stack([video["scores"] for video in scored]),
                torch.tensor([video["label"] for video in scored]),
                [video["label"] for video in self._tested.values()],
                self.metrics,
            )
        else:  # every video is a miss
            values = {name: 0.0 for name in self.metrics if name in METRICS}
        for name, value in (*values.items(), ("videos_failed", float(len(self.failures)))):
            self.log(f"{stage}_{name}", value, on_step=False, on_epoch=True)

    # ---- checkpoints -------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out the audio encoder, which does not change and may be larger than the network."""
        for name in [name for name in checkpoint["state_dict"] if name.startswith("audio_encoder.")]:
            del checkpoint["state_dict"][name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the audio encoder that was given."""
        if self.audio_encoder is not None:
            encoder = self.audio_encoder.state_dict()
            checkpoint["state_dict"] |= {f"audio_encoder.{name}": tensor for name, tensor in encoder.items()}


class ScheduledClassifier(VideoClassifier):
    """One optimiser, with one parameter group unless a method says otherwise, and one schedule, evaluated after every
    optimiser step, that multiplies the learning rate of every group."""

    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "momentum": ("optimizer", "sgd"),
        "milestones": ("schedule", "step"),
        "gamma": ("schedule", "step"),
        "head_std": ("head_init", "normal", "trunc_normal"),
    }
    """Argument -> another argument, and those of its values that need the first; with others it must be left out. A
    class says only what it adds to, or changes of, its base. `vtbench check` reads it too."""
    forbids: ClassVar[dict[str, tuple[str, ...]]] = {
        "nesterov": ("optimizer", "adam", "adamw", "nadamw", "lamb", "lion"),
        "betas": ("optimizer", "sgd"),
    }
    """Argument -> another argument, and those of its values with which the first must be 0 or left out."""
    validation_crops: ClassVar[int] = 3
    """Crops of each test video where the test set chooses the epoch, as the official code validates."""

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        optimizer: Optimizer,
        lr: Annotated[float, Gt(0)],
        weight_decay: Annotated[float, Ge(0)],
        epochs: Annotated[int, Ge(1)],
        schedule: Schedule,
        warmup_epochs: Annotated[float, Ge(0)] = 0.0,
        momentum: Annotated[float, Ge(0), Le(1)] | None = None,
        milestones: Annotated[tuple[int, ...], Ge(1)] | None = None,
        gamma: Annotated[float, Gt(0)] | None = None,
        warmup_start: Annotated[float, Ge(0), Lt(1)] | None = None,
        nesterov: bool | None = None,
        betas: Annotated[tuple[float, float], Ge(0), Lt(1)] | None = None,
        no_decay: tuple[str, ...] | None = None,
        head_init: HeadInit | None = None,
        head_std: Annotated[float, Gt(0)] | None = None,
        keep: Literal["best_on_test"] | None = None,
        **common: Any,
    ) -> None:
        """
        - network: see VideoClassifier, as `common`, the rest of its arguments
        - optimizer: a name of vtbench.methods.optimizers.Optimizer
        - lr: initial learning rate for the batch in use; the caller applies the scaling rule
        - weight_decay: of all parameters, unless the method has groups of its own
        - epochs: passes over the training videos that the schedule spans
        - schedule: see vtbench.methods.optimizers.lr_factor
        - warmup_epochs: linear warm-up of the learning rate
        - warmup_start: the factor of the rate that it starts from; None is 0
        - momentum, nesterov: of sgd
        - betas: of the Adams and of lion; None leaves the class's own
        - milestones, gamma: of the schedule step: the epochs after which the rate is multiplied by gamma
        - no_decay: ends of names of parameters without weight decay; None leaves it to `parameter_groups`
        - head_init: what the weights of the network's `head` start from, its bias at 0; None leaves it as it was built
        - head_std: standard deviation of head_init normal and trunc_normal
        - keep: `best_on_test` keeps the epoch with the best top-1 on the test set (1 clip, `validation_crops` crops);
          None is the last epoch

        Raises UsageError for an unknown optimizer or schedule and for arguments that do not go together.
        """
        refuse_unknown(type(self), common)
        known_name("optimizer", optimizer, get_args(Optimizer))
        known_name("schedule", schedule, get_args(Schedule))
        super().__init__(network, **common)
        self.optimizer_name = optimizer
        self.lr, self.weight_decay = lr, weight_decay
        self.optimizer_options = {"momentum": momentum, "nesterov": nesterov, "betas": betas}
        self.epochs, self.warmup_epochs, self.warmup_start = epochs, warmup_epochs, warmup_start
        self.schedule, self.milestones, self.gamma = schedule, tuple(milestones or ()), gamma
        self.no_decay, self.keep = no_decay, keep
        if head_init:
            start_head(self.network, head_init, head_std)

    @property
    def validation(self) -> Validation | None:
        """The test set, where it chooses the epoch."""
        return Validation(crops=self.validation_crops, keep_best=True) if self.keep else None

    @property
    def selection(self) -> str:
        """Whether the test set chose the epoch."""
        return f"best of {self.epochs} epochs on the test set" if self.keep else super().selection

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is optimised, as torch's optimisers take it: a group's own `lr` and `weight_decay` go before the
        recipe's."""
        if not self.no_decay:
            return [{"params": list(self.parameters())}]
        decayed: list[nn.Parameter] = []
        undecayed: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            (undecayed if name.endswith(tuple(self.no_decay)) else decayed).append(parameter)
        return [{"params": decayed}, {"params": undecayed, "weight_decay": 0.0}]

    def configure_optimizers(self) -> Any:
        """The optimiser, and its schedule evaluated after every optimiser step."""
        optimizer = build_optimizer(
            self.optimizer_name,
            self.parameter_groups(),
            lr=self.lr,
            weight_decay=self.weight_decay,
            **self.optimizer_options,
        )
        steps_per_epoch = self._steps_per_epoch()
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: lr_factor(
                step / steps_per_epoch,
                epochs=self.epochs,
                schedule=self.schedule,
                milestones=self.milestones,
                gamma=1.0 if self.gamma is None else self.gamma,
                warmup_epochs=self.warmup_epochs,
                warmup_start=self.warmup_start,
            ),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch, whatever the trainer's `max_epochs`: the schedule spans the recipe's epochs."""
        _ = self.trainer.estimated_stepping_batches  # loads the training data, but not where `max_epochs` is -1
        if self.trainer.train_dataloader is None:
            self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        if math.isfinite(batches):
            return max(math.ceil(batches / self.trainer.accumulate_grad_batches), 1)
        if self.schedule == "constant" and not self.warmup_epochs:
            return 1
        raise UsageError(
            f"the schedule {self.schedule} needs the number of batches of an epoch, which the training data does not "
            "tell; give the trainer limit_train_batches=N"
        )
