"""`blind:` of a row is true of its network, in both directions: with random weights and bias tables, the logits of the
rows that carry it do not change when the clip is reversed, and those of all others do."""

import functools

import torch

from vtbench.clips import map_modalities
from vtbench.papers import load_all
from vtbench.papers.network import Network
from vtbench.papers.resolve import network_of
from vtbench.run.network import built

ROWS = [row for paper in load_all() for row in paper.rows if row.status == "runnable"]


@functools.cache
def change_under_reversal(network: Network) -> float:
    """Largest change of a logit when the clips are reversed in time, as a share of the largest logit, in 64 bits."""
    draw = torch.Generator().manual_seed(0)

    def randn(shape):
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    model = built(network).eval().double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Biases, positions and tables that start at zero must not: they are what may know the time.
            size = 0.3 if parameter.ndim < 2 else max(1, parameter[0].numel()) ** -0.5
            parameter.copy_(size * randn(parameter.shape) + (1.0 if name.endswith("norm.weight") else 0.0))
        clips = map_modalities(lambda shape: randn((1, *shape)), network.clip_shape)
        forward, backward = model(clips), model(map_modalities(lambda clip: clip.flip(1), clips))
    return float((forward - backward).abs().max() / forward.abs().max())


def test_blind_rows_are_those_whose_network_does_not_see_the_order_of_frames():
    measured = {row.id: change_under_reversal(network_of(row, "mini")) for row in ROWS}
    found = {row for row, change in measured.items() if change < 1e-9}
    assert found == {row.id for row in ROWS if row.blind}
    assert len(found) == 16
    # Nothing in between: either rounding alone or a change that 32 bits would show.
    assert max(measured[row] for row in found) < 1e-12
    assert min(change for row, change in measured.items() if row not in found) > 1e-5


def test_a_blind_row_says_why_it_cannot_know():
    assert all(row.blind is None or len(row.blind.split()) > 5 for row in ROWS)
