"""A method of our own."""

from typing import Annotated, Any

from annotated_types import Gt

from vtbench.methods.base import ScheduledClassifier


class FastHead(ScheduledClassifier):
    """The classification layer has a learning rate of its own."""

    def __init__(self, network: Any, *, head_lr: Annotated[float, Gt(0)], **recipe: Any) -> None:
        """`head_lr`: factor of the head's learning rate. `recipe`: the arguments of ScheduledClassifier."""
        super().__init__(network, **recipe)
        self.head_lr = head_lr

    def parameter_groups(self) -> list[dict[str, Any]]:
        head, rest = [], []
        for name, parameter in self.network.named_parameters():
            (head if name.startswith("head.") else rest).append(parameter)
        return [{"params": head, "lr": self.lr * self.head_lr}, {"params": rest}]
