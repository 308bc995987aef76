"""MM-ViT's training recipe: Chen and Ho, "MM-ViT: Multi-Modal Video Transformer for Compressed Video Action
Recognition", WACV 2022, arXiv:2108.09322, Section 4.1.

SGD from a rate of 0.5, "divided by 10 when the validation accuracy plateaus". The paper has neither momentum, weight
decay nor a number of epochs, does not say what it validates on nor how long a plateau is, and its code is not public:
these are decisions (benchmarks/mmvit/paper.yaml). Validation is on training videos held out for it, never on the test
set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vtbench.errors import RunError, UsageError
from vtbench.methods.base import ScheduledClassifier, Validation
from vtbench.methods.optimizers import Schedule, known_name


class MMViT(ScheduledClassifier):
    """One optimiser, one parameter group, and a rate that falls when the accuracy on held-out videos stops rising; any
    of ScheduledClassifier's schedules in place of that."""

    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "gamma": ("schedule", "step", "plateau"),
        "patience": ("schedule", "plateau"),
        "holdout": ("schedule", "plateau"),
    }
    forbids: ClassVar[dict[str, tuple[str, ...]]] = {
        "warmup_epochs": ("schedule", "plateau"),
        "keep": ("schedule", "plateau"),
    }

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        schedule: Literal["plateau", "step", "cosine", "cosine_by_epoch", "constant"],
        gamma: Annotated[float, Gt(0)] | None = None,
        patience: Annotated[int, Ge(1)] | None = None,
        holdout: Annotated[float, Gt(0), Lt(1)] | None = None,
        warmup_epochs: Annotated[float, Ge(0)] = 0.0,
        **recipe: Any,
    ) -> None:
        """
        - schedule: `plateau`, or one of ScheduledClassifier's
        - gamma: what the rate is multiplied by, on a plateau or at each of the schedule step's milestones
        - patience: epochs without a new best after which the rate still stays; it falls after one more
        - holdout: share of the training videos that the plateau is watched on, and that are not trained on
        - warmup_epochs: as in ScheduledClassifier; 0 with a plateau, whose clock is the validation
        - recipe: the other arguments of ScheduledClassifier

        Raises UsageError as ScheduledClassifier does.
        """
        known_name("schedule", schedule, ("plateau", *get_args(Schedule)))
        self.on_plateau = schedule == "plateau"
        super().__init__(
            network,
            schedule="constant" if schedule == "plateau" else schedule,
            gamma=None if schedule == "plateau" else gamma,
            warmup_epochs=warmup_epochs,
            **recipe,
        )
        self.factor, self.patience, self.holdout = gamma, patience, holdout
        self.plateau: ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None

    @property
    def validation(self) -> Validation | None:
        """Training videos that are held out, where the rate follows them; otherwise as ScheduledClassifier."""
        return super().validation if self.holdout is None else Validation(holdout=self.holdout)

    @property
    def selection(self) -> str:
        """Whether held-out videos set the rate."""
        if self.holdout is None:
            return super().selection
        return f"rate by {self.holdout:.0%} of the training videos, held out; last epoch"

    def configure_optimizers(self) -> Any:
        """The optimiser. The plateau is watched here and not by Lightning, which would take the step of an epoch after
        the epoch's checkpoint: a run that resumes from there would have lost it."""
        configured = super().configure_optimizers()
        if not self.on_plateau:
            return configured
        optimizer: torch.optim.Optimizer = configured["optimizer"]
        assert self.patience is not None and self.factor is not None
        self.plateau = ReduceLROnPlateau(
            optimizer, mode="max", factor=self.factor, patience=self.patience, threshold=0.0, threshold_mode="abs"
        )
        if self._plateau_state is not None:
            self.plateau.load_state_dict(self._plateau_state)
        return optimizer

    def on_validation_epoch_end(self) -> None:
        """Log the accuracy on the held-out videos, and lower the rate if it has not risen for long enough. Raises
        RunError if one cannot be read: the rate must not follow what happens to be readable."""
        super().on_validation_epoch_end()
        if self.failures and self.on_plateau:
            raise RunError(
                f"{next(iter(self.failures.values()))}; training needs every video: repair it or take it out"
            )
        # Not in Lightning's sanity check before the training, nor in a validation of its own after it.
        if self.plateau is not None and self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self.plateau.step(float(self.trainer.callback_metrics["val_top1"]))

    def on_train_epoch_end(self) -> None:
        """Raise UsageError for a plateau that nothing is watched for: the rate would never fall."""
        super().on_train_epoch_end()
        if self.on_plateau and "val_top1" not in self.trainer.callback_metrics:
            raise UsageError(
                "the schedule plateau needs a validation; give the data module validate_on, a share of the videos"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Also how long the plateau is so far."""
        super().on_save_checkpoint(checkpoint)
        if self.plateau is not None:
            checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Before the optimiser is configured."""
        super().on_load_checkpoint(checkpoint)
        self._plateau_state = checkpoint.get("plateau")
