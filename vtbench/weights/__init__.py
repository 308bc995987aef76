"""Weights from files: every key is accounted for."""

from vtbench.weights.load import LoadReport, load_weights, sha256_of

__all__ = ["LoadReport", "load_weights", "sha256_of"]
