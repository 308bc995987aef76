"""Parameters and multiply-adds of the rows' networks, counted on the meta device, beside what is printed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

from vtbench.clips import map_modalities
from vtbench.cost import count_macs, count_params
from vtbench.cost.complexity import as_text, growth
from vtbench.errors import SpecError
from vtbench.layers.attention import ATTENTIONS
from vtbench.naming import guarded
from vtbench.papers.load import load_paper
from vtbench.papers.network import Network
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.cells import Published
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Training
from vtbench.run.network import FORWARD, built, outline
from vtbench.scales import Scale


def clip_macs(training: Training) -> int:
    """Multiply-adds of one forward pass of one clip (convention `matmul`), counted on the meta device."""
    return _count(training.network)["gmacs"]["matmul"]


def cost(rows: Sequence[Row], scale: Scale = "paper") -> list[dict[str, Any]]:
    """Parameters and multiply-adds of each row's network, on the meta device: no weights, no data, no GPU.

    One entry per row that has a network at this scale:

    - `id`
    - `params_m`: millions, under the convention that reproduces the printed cell, else all parameters
    - `params_by_convention`: millions
    - `gmacs`: by convention, 1e9 multiply-adds per clip
    - `published`: the row's printed cells
    - `cells`: per printed cost cell `{printed, measured, convention, agrees}`

    Raises SpecError for a network that cannot be built or run.
    """
    entries = []
    for row in rows:
        wanted = measurements(row, scale, seed=0)
        if not wanted:
            continue
        training = wanted[0].evaluation.training
        try:
            counted = _count(training.network)
        except SpecError as error:
            raise SpecError(f"{row.where}: {error}") from error
        params = {name: count / 1e6 for name, count in counted["params"].items()}
        gmacs = {name: count / 1e9 for name, count in counted["gmacs"].items()}
        counts = load_paper(row.paper).about.counted
        measured = {
            "params_m": (params, counts.params_m),
            "gflops": (gmacs, counts.gflops),
            "tflops": ({convention: count / 1e3 for convention, count in gmacs.items()}, counts.gflops),
        }
        cells = {
            name: _cost_cell(cell, *measured[metric])
            for name, cell in row.published.items()
            for metric in measured
            if name.endswith(metric)
        }
        reproduced_by = next((cell["convention"] for name, cell in cells.items() if name.endswith("params_m")), None)
        entries.append(
            {
                "id": row.id,
                "params_m": params[reproduced_by or "all"],
                "params_by_convention": params,
                "gmacs": gmacs,
                "published": {name: cell.text for name, cell in row.published.items()},
                "cells": cells,
            }
        )
    return entries


def complexity(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """How attention grows with the number of tokens, for the rows that print it.

    Per row and attention `id`, `attention`, `measured` (the polynomial in N places and T frames that counted
    multiply-adds follow, in pairs of tokens) and `printed` (the row's cells).
    """
    return [
        {"id": row.id, "attention": name, "measured": as_text(growth(ATTENTIONS[name])), "printed": dict(row.printed)}
        for row in rows
        for name in row.complexity
    ]


def _cost_cell(cell: Published, measured: dict[str, float], convention: str) -> dict[str, Any]:
    """The count under the paper's own convention if that agrees with the printed digits (rounded or cut), else under
    the nearest one that agrees, else under its own."""
    agreeing = [name for name, value in measured.items() if agrees(value, cell)]
    if agreeing and convention not in agreeing:
        convention = min(agreeing, key=lambda name: abs(measured[name] - cell.value))
    return {
        "printed": cell.text,
        "measured": measured[convention],
        "convention": convention,
        "agrees": bool(agreeing),
    }


def agrees(measured: float, cell: Published) -> bool:
    """Whether `measured`, rounded or cut to the printed digits, is the printed number."""
    unit = 10.0**-cell.decimals
    return abs(measured - cell.value) <= 0.5 * unit * (1 + 1e-9) or 0 <= measured - cell.value < unit


@functools.cache
def _count(network: Network) -> dict[str, dict[str, int]]:
    model = outline(network)
    one_clip = map_modalities(lambda shape: (1, *shape), network.clip_shape)
    try:
        with guarded(network.name, "model", FORWARD):
            return {"params": count_params(model), "gmacs": count_macs(model, one_clip)}
    except SpecError:  # of the user's alone
        with torch.random.fork_rng(devices=[]), guarded(network.name, "model", FORWARD):
            model = built(network)
            return {"params": count_params(model), "gmacs": count_macs(model, one_clip, device="cpu")}
