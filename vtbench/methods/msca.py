"""MSCA's training recipe: Hashiguchi and Tamaki, "Temporal Cross-attention for Action Recognition", Section 4.1.

The paper trains with "the same settings as" TokenShift: one optimiser, one parameter group and one schedule for the
frame-wise ViT, TokenShift and MSCA. What it leaves out is taken from TokenShift's official code (label smoothing 0.1,
gradient norm clipped at 1.0, no warm-up). The numbers stand in benchmarks/msca/, each with its source.
"""

from __future__ import annotations

from vtbench.methods.base import ScheduledClassifier


class MSCA(ScheduledClassifier):
    """Frame-wise ViT, TokenShift and MSCA."""
