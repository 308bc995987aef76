"""The steps that every method shares (VideoClassifier), and the optimisation that most share (ScheduledClassifier).
What a paper does differently is in its own file.

B clips, T frames, V views of one video, K classes. Clips are what vtbench.clips says.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtbench.clips import Clips, each, split
from vtbench.evaluation import measure
from vtbench.evaluation.multiview import ViewScores


class VideoClassifier(L.LightningModule):
    """Cross-entropy on clips in training, per-view scores by video in testing.

    The network is given; it maps clips (B, T, 3, H, W) to logits (B, K), or clips by modality. Their `audio` reaches it
    as features (B, T, D), which `audio_encoder`, never trained itself, makes of log-mel patches. After `Trainer.test`,
    `view_scores` holds the logits of every view of every readable video, `labels` their labels, `failures` the reason
    for every video that could not be read, and `remarks` what was to be said of some that could. Validation does the
    same, and logs its accuracy as `held_out`: `test_top1`, for `train.keep: best_on_test`, which looks at the test set,
    unless a method holds training videos out.
    """

    held_out: ClassVar[str] = "test_top1"

    def __init__(
        self,
        network: nn.Module,
        *,
        label_smoothing: float = 0.0,
        views_per_forward: int = 32,
        audio_encoder: nn.Module | None = None,
    ) -> None:
        """`views_per_forward` bounds the memory of a test step; it does not change the scores beyond rounding."""
        super().__init__()
        self.network = network
        self.audio_encoder = None if audio_encoder is None else audio_encoder.requires_grad_(False)
        self.label_smoothing = label_smoothing
        self.views_per_forward = views_per_forward
        self.views_per_video = 0
        self.view_scores = ViewScores()
        self.labels: dict[str, int] = {}
        self.failures: dict[str, str] = {}
        self.remarks: dict[str, str] = {}

    def forward(self, clips: Clips) -> Tensor:
        """Clips to logits (B, K)."""
        if not isinstance(clips, Tensor) and "audio" in clips:
            clips = {**clips, "audio": self._hear(clips["audio"])}
        logits: Tensor = self.network(clips)
        return logits

    @torch.no_grad()
    def _hear(self, patches: Tensor) -> Tensor:
        """Log-mel patches (B, T, 96, 64) to features (B, T, D)."""
        assert self.audio_encoder is not None
        features: Tensor = self.audio_encoder.eval()(patches.flatten(0, 1))
        return features.unflatten(0, patches.shape[:2])

    def training_step(self, batch: tuple[Clips, Tensor], batch_idx: int) -> Tensor:
        """Mean cross-entropy of a batch of clips and labels (B,)."""
        clips, labels = batch
        logits = self(clips)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        correct = (logits.detach().argmax(dim=1) == labels).float().mean()
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(labels))
        self.log("train_top1", 100 * correct, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def on_test_start(self) -> None:
        """A fresh start: scores of an earlier test must not mix with this one's."""
        self.view_scores, self.labels, self.failures, self.remarks = ViewScores(), {}, {}, {}

    def test_step(self, batch: list[dict[str, Any]], batch_idx: int) -> None:
        """Score every view of some videos; each has `video_id`, `label`, and `views` (V, T, 3, H, W), maybe with a
        `remark`, or `error`."""
        for video in batch:
            self.labels[video["video_id"]] = int(video["label"])
            if "error" in video:
                self.failures[video["video_id"]] = video["error"]
            if "remark" in video:
                self.remarks[video["video_id"]] = video["remark"]
        readable = [video for video in batch if "error" not in video]
        if not readable:
            return
        views = each(lambda *each: torch.cat(each), *(video["views"] for video in readable))  # (sum of V, T, ...)
        logits = torch.cat([self(part) for part in split(views, self.views_per_forward)]).float().cpu()
        self.views_per_video = len(logits) // len(readable)
        start = 0
        for video in readable:
            for view in range(self.views_per_video):
                self.view_scores.add(video["video_id"], view, logits[start + view])
            start += self.views_per_video

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Without the encoder of sound, which does not change and may be larger than the network."""
        for name in [name for name in checkpoint["state_dict"] if name.startswith("audio_encoder.")]:
            del checkpoint["state_dict"][name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The encoder of sound is the one that was given."""
        if self.audio_encoder is not None:
            encoder = self.audio_encoder.state_dict()
            checkpoint["state_dict"] |= {f"audio_encoder.{name}": tensor for name, tensor in encoder.items()}

    def on_validation_start(self) -> None:
        """As before a test."""
        self.on_test_start()

    def validation_step(self, batch: list[dict[str, Any]], batch_idx: int) -> None:
        """As a test step."""
        self.test_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the top-1 in percent of all videos, each with every view it was given."""
        names, scores = self.view_scores.video_scores(self.views_per_video, average="logits")
        labels = torch.tensor([self.labels[name] for name in names], dtype=torch.int64)
        measured = measure(scores, labels, self.labels.values(), ["top1"])
        self.log(self.held_out, measured["top1"], on_step=False, on_epoch=True)

    def finish(self, data: L.LightningDataModule, device: torch.device) -> None:
        """What the network still needs after the last epoch, from training clips of `data`; nothing by default. Not a
        hook of the trainer, which has none where a training goes on after its last epoch."""

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Tensors move to the device; a test video's id, label and error stay where they are."""
        if isinstance(batch, list) and batch and isinstance(batch[0], dict):
            return [
                {**video, "views": each(lambda x: x.to(device), video["views"])} if "views" in video else video
                for video in batch
            ]
        return super().transfer_batch_to_device(batch, device, dataloader_idx)


class ScheduledClassifier(VideoClassifier):
    """One optimiser, with one parameter group unless a method says otherwise, and one schedule, evaluated after every
    optimiser step, that multiplies the learning rate of every group."""

    def __init__(
        self,
        network: nn.Module,
        *,
        optimizer: Literal["sgd", "adamw"],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float,
        epochs: int,
        warmup_epochs: float,
        schedule: Literal["step", "cosine"],
        milestones: tuple[int, ...] = (),
        gamma: float = 1.0,
        label_smoothing: float,
        audio_encoder: nn.Module | None = None,
    ) -> None:
        """`lr` is for the batch in use (the caller applies the scaling rule). `momentum`, `milestones` and `gamma` are
        SGD's and the schedule step's; AdamW keeps torch's betas, 0.9 and 0.999."""
        super().__init__(network, label_smoothing=label_smoothing, audio_encoder=audio_encoder)
        self.optimizer_name = optimizer
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.epochs, self.warmup_epochs = epochs, warmup_epochs
        self.schedule, self.milestones, self.gamma = schedule, list(milestones), gamma

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is optimised, as torch's optimisers take it: a group's own `lr` and `weight_decay` go before the
        recipe's."""
        return [{"params": list(self.parameters())}]

    def configure_optimizers(self) -> Any:
        """The optimiser, and its schedule evaluated after every optimiser step."""
        optimizer: torch.optim.Optimizer
        if self.optimizer_name == "sgd":
            optimizer = torch.optim.SGD(
                self.parameter_groups(), lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
            )
        else:
            optimizer = torch.optim.AdamW(self.parameter_groups(), lr=self.lr, weight_decay=self.weight_decay)
        steps_per_epoch = max(int(self.trainer.estimated_stepping_batches) / self.epochs, 1)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: lr_factor(
                step / steps_per_epoch,
                epochs=self.epochs,
                schedule=self.schedule,
                milestones=self.milestones,
                gamma=self.gamma,
                warmup_epochs=self.warmup_epochs,
            ),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def lr_factor(
    epoch: float,
    *,
    epochs: int,
    schedule: Literal["step", "cosine"],
    milestones: list[int],
    gamma: float,
    warmup_epochs: float,
) -> float:
    """What the learning rate is multiplied by after `epoch` epochs (a fraction inside an epoch), in (0, 1].

    `step` multiplies by `gamma` at every whole epoch of `milestones`; `cosine` falls from 1 to 0 over the epochs after
    the warm-up. The warm-up is linear from 0 in both.
    """
    if epoch < warmup_epochs:
        return max(epoch, 1e-3) / warmup_epochs
    if schedule == "step":
        return gamma ** sum(epoch >= milestone for milestone in milestones)
    progress = (epoch - warmup_epochs) / max(epochs - warmup_epochs, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
