"""MM-ViT's training recipe: Chen and Ho, "MM-ViT: Multi-Modal Video Transformer for Compressed Video Action
Recognition", WACV 2022, arXiv:2108.09322, Section 4.1.

SGD from a rate of 0.5, "divided by 10 when the validation accuracy plateaus". The paper has neither momentum, weight
decay nor a number of epochs, does not say what it validates on nor how long a plateau is, and its code is not public:
these are decisions (benchmarks/mmvit/paper.yaml). Validation is on training videos held out for it, never on the test
set.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vtbench.errors import RunError
from vtbench.methods.base import ScheduledClassifier

SECTION_4_1: dict[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.5,
    "weight_decay": 0.0,
    "epochs": 30,
    "warmup_epochs": 0.0,
    "label_smoothing": 0.0,
}
"""The arguments of ScheduledClassifier that a recipe leaves out."""


class MMViT(ScheduledClassifier):
    """One optimiser, one parameter group, and a rate that falls when the accuracy on held-out videos stops rising; any
    of ScheduledClassifier's schedules in place of that."""

    held_out = "holdout_top1"

    def __init__(
        self,
        network: nn.Module,
        *,
        schedule: Literal["plateau", "step", "cosine"] = "plateau",
        gamma: float = 0.1,
        patience: int | None = None,
        **recipe: Any,
    ) -> None:
        """`gamma`: what the rate is multiplied by after `patience` epochs, and one more, without a new best. Raises
        ValueError for a plateau without patience or with a warm-up, which is measured by the schedules' own clock."""
        recipe = {**SECTION_4_1, **recipe}
        self.on_plateau = schedule == "plateau"
        if self.on_plateau and (patience is None or recipe["warmup_epochs"]):
            raise ValueError("the schedule plateau needs patience, and no warm-up")
        # Between steps without milestones the rate stays as it is: the plateau alone changes it.
        super().__init__(network, schedule="step" if schedule == "plateau" else schedule, gamma=gamma, **recipe)
        self.patience = patience
        self.plateau: ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None

    def configure_optimizers(self) -> Any:
        """The optimiser. The plateau is watched here and not by Lightning, which would take the step of an epoch after
        the epoch's checkpoint: a training that goes on from there would have lost it."""
        configured = super().configure_optimizers()
        if not self.on_plateau:
            return configured
        optimizer: torch.optim.Optimizer = configured["optimizer"]
        assert self.patience is not None
        self.plateau = ReduceLROnPlateau(
            optimizer, mode="max", factor=self.gamma, patience=self.patience, threshold=0.0, threshold_mode="abs"
        )
        if self._plateau_state is not None:
            self.plateau.load_state_dict(self._plateau_state)
        return optimizer

    def on_validation_epoch_end(self) -> None:
        """Log the accuracy on the held-out videos, and lower the rate if it has not risen for long enough. Raises
        RunError if one cannot be read: the rate must not follow what happens to be readable."""
        if self.failures:
            raise RunError(f"{next(iter(self.failures.values()))}; training needs every video: mend it or take it out")
        super().on_validation_epoch_end()
        if self.plateau is not None:
            self.plateau.step(float(self.trainer.callback_metrics[self.held_out]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Also how long the plateau is so far."""
        super().on_save_checkpoint(checkpoint)
        if self.plateau is not None:
            checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Before the optimiser is configured."""
        super().on_load_checkpoint(checkpoint)
        self._plateau_state = checkpoint.get("plateau")
