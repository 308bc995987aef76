"""A metric of our own."""

from torch import Tensor
from torchmetrics.functional.classification import multiclass_f1_score


def macro_f1(scores: Tensor, labels: Tensor, *, expected_labels: list[int]) -> float:
    """Mean F1 over the classes, in percent, of the videos that could be read: scores (N, C), labels (N,)."""
    return 100 * float(multiclass_f1_score(scores, labels, num_classes=scores.shape[1], average="macro"))
