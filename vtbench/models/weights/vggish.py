"""VGGish's weights as https://github.com/harritaylor/torchvggish has them (release v0.1, `vggish-10086976.pth`), the
common PyTorch port of Google's TensorFlow checkpoint. Its keys are those of models/vggish.py.

Its PCA and 8-bit steps, with which AudioSet's embeddings were published, are not part of the network: their tensors
(`pproc.*`, there if a whole model of the port was saved) are left out.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vtbench.errors import WeightsError
from vtbench.weights import LoadReport
from vtbench.weights.load import SHOWN, compare, counted, read_state
from vtbench.weights.read import refuse_other_types

PCA = "pproc."
"""Prefix of the keys of the PCA of embeddings."""


def load_vggish(model: nn.Module, path: str | Path) -> LoadReport:
    """Copy the weights of VGGish in the file `path` into `model` (a models.vggish.VGGish), in place.

    Every weight of the model must be there and fit, and the file may hold nothing else but a PCA. The report's format
    is "torchvggish". Raises WeightsError for a file that is missing, unreadable or of another layout; the model is then
    unchanged.
    """
    path = Path(path)
    _, state, left_out = read_state(path)
    for key in [key for key in state if key.startswith(PCA)]:
        del state[key]
        left_out[key] = "PCA of the embeddings, not part of the network"
    differences = compare(model.state_dict(), state)
    if any(differences.values()):
        shown = f"{', '.join(list(state)[:SHOWN])}, ..." if state else "none"
        raise WeightsError(
            f"{path}: checkpoint of {len(state)} tensors ({shown}), not of torchvggish's "
            f"weights for this {type(model).__name__}: {counted(differences)}; give vggish-10086976.pth of "
            "harritaylor/torchvggish, and build the network in VGGish's own sizes"
        )
    refuse_other_types(path, state, model.state_dict())
    model.load_state_dict(state)
    return LoadReport(format="torchvggish", used=tuple(state), renamed={}, left_out=left_out, missing=())
