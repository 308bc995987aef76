"""Weights from and to files, or by name from a pinned release: every key is accounted for."""

from vtbench.weights.hub import hosted_file
from vtbench.weights.load import Foreign, LoadReport, load_weights, sha256_of
from vtbench.weights.save import save_network, save_state

__all__ = ["Foreign", "LoadReport", "hosted_file", "load_weights", "save_network", "save_state", "sha256_of"]
