"""Windows of a Swin transformer as index arithmetic: which token is where, who may attend to whom, and which entry of
the table of relative position biases belongs to a pair.

Liu et al., "Swin Transformer", ICCV 2021, and "Video Swin Transformer", CVPR 2022. Everything here is a matter of sizes
alone, computed once when a network is built, always on the CPU. A map has T x H x W tokens, a window t x h x w, N of
them; where windows do not divide a map, it is padded.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Sizes = tuple[int, int, int]
"""Frames, rows, columns."""


@dataclass(frozen=True)
class Windows:
    """A map of `size` cut into windows of `window`, which are moved by `shift`; what they reach over the edge they take
    from the other side, as in Swin's cyclic shift. Where windows do not divide the map, it is padded at the end."""

    size: Sizes
    window: Sizes
    shift: Sizes

    @property
    def padded(self) -> Sizes:
        """The size of the map after padding."""
        t, h, w = (-(-n // part) * part for n, part in zip(self.size, self.window, strict=True))
        return t, h, w

    @property
    def steps(self) -> int:
        """Windows side by side in time."""
        return self.padded[0] // self.window[0]

    def places(self) -> Int[Tensor, "windows N 3"]:
        """The place (frame, row, column) in the map of each token of each window, in order of time, row, column."""
        axes = [(torch.arange(n, device="cpu") + s) % n for n, s in zip(self.padded, self.shift, strict=True)]
        map_ = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)  # (T, H, W, 3)
        t, h, w = self.window
        split = map_.unflatten(2, (-1, w)).unflatten(1, (-1, h)).unflatten(0, (-1, t))
        return split.permute(0, 2, 4, 1, 3, 5, 6).flatten(3, 5).flatten(0, 2)

    def places_inside(self) -> Int[Tensor, "N 3"]:
        """The place of each token within its window."""
        return Windows(self.window, self.window, (0, 0, 0)).places()[0]

    def order(self, places: Int[Tensor, "windows N 3"]) -> Int[Tensor, " L"]:
        """The numbers of the tokens at `places`, counted through the padded map."""
        _, height, width = self.padded
        frame, row, column = places.flatten(0, 1).unbind(-1)
        return (frame * height + row) * width + column

    def masks(self) -> tuple[Float[Tensor, "kinds N N"], Int[Tensor, " windows"]]:
        """-inf for the pairs of a window that must not attend to each other, as the shift brought them together from
        both edges of the map, 0 for the others: for each of the few kinds of windows, and the kind of each window."""
        over_the_edge = self.places() < torch.tensor(self.shift, device="cpu")  # in each axis
        kinds, kind_of = over_the_edge.flatten(1).unique(dim=0, return_inverse=True)
        edges = kinds.unflatten(1, (-1, 3))
        apart = (edges[:, :, None] != edges[:, None]).any(dim=-1)
        return torch.zeros(apart.shape, device="cpu").masked_fill_(apart, -torch.inf), kind_of


def bias_entries(
    queries: Int[Tensor, "*any N 3"], keys: Int[Tensor, "*any N 3"], spans: Sizes
) -> Int[Tensor, "*any N N"]:
    """The entry of the table of biases for each pair of tokens at the given places.

    The table holds one entry for each difference of places that is smaller than `spans` in size, in row-major order of
    frames, rows and columns: (2 t - 1) (2 h - 1) (2 w - 1) entries. It is Video Swin's.
    """
    t, h, w = spans
    steps = torch.tensor([(2 * h - 1) * (2 * w - 1), 2 * w - 1, 1], device="cpu")
    middle = ((t - 1) * steps[0] + (h - 1) * steps[1] + (w - 1)).item()  # of no difference
    # The entry is linear in the places, so a difference of entries is the entry of the difference.
    return ((queries * steps).sum(-1) + middle)[..., :, None] - (keys * steps).sum(-1)[..., None, :]
