"""Parameters and multiply-adds of the rows' networks, counted on the meta device, beside what is printed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vtbench.clips import map_modalities
from vtbench.cost import count_macs, count_params
from vtbench.cost.complexity import as_text, growth
from vtbench.errors import SpecError
from vtbench.layers.attention import ATTENTIONS
from vtbench.naming import guarded
from vtbench.papers.network import Network
from vtbench.papers.resolve import measurements, network_of
from vtbench.papers.spec.schema import Row
from vtbench.report.counted import cells_of
from vtbench.results.costs import Cost, CostRecord, CostStore
from vtbench.run.network import FORWARD, built, outline
from vtbench.scales import SCALES, Scale


def clip_macs(network: Network) -> int:
    """Multiply-adds of one forward pass of one clip (convention `matmul`), counted on the meta device."""
    return _count(network)["gmacs"]["matmul"]


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
        found = cells_of(row, Cost(counted["params"], counted["gmacs"]))
        cells = {name: {"printed": row.published[name].text, **cell.entry()} for name, cell in found.items()}
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


def record_costs(rows: Sequence[Row], results: Path) -> tuple[int, int]:
    """Count the networks of rows, and of the trainings that they start from, at every scale, and write them to cost.csv
    of a results folder, where they take the place of what it has of these rows. Gives the numbers of networks and of
    lines that the file has now.

    Raises SpecError for a network that cannot be built or run, ResultsError if the file cannot be written.
    """
    store = CostStore(results)
    store.check()
    named: dict[tuple[Network, Scale], list[str]] = {}
    for scale in SCALES:
        for row in rows:
            for network in _networks_of(row, scale):
                named.setdefault((network, scale), []).append(row.id)
    made: list[CostRecord] = []
    for (network, scale), ids in named.items():
        counted = _count(network)
        for convention in dict.fromkeys((*counted["params"], *counted["gmacs"])):
            made.append(
                CostRecord(
                    network=network.name,
                    arguments=network.key,
                    convention=convention,
                    params=counted["params"].get(convention),
                    macs=counted["gmacs"].get(convention),
                    scale=scale,
                    rows=";".join(ids),
                )
            )
    again = {row.id for row in rows}
    kept: list[CostRecord] = []
    for line in store.read():
        others = [row for row in line.rows.split(";") if row not in again]
        if others:
            kept.append(dataclasses.replace(line, rows=";".join(others)))
    store.write(_merged([*kept, *made]))
    return len(named), len(store.read())


def _networks_of(row: Row, scale: Scale) -> list[Network]:
    """The distinct networks of a row at a scale: its first measurement's, then those of the others and of what they
    start from."""
    found = [network for network in [network_of(row, scale)] if network is not None]
    for measurement in measurements(row, scale, seed=0):
        training = measurement.evaluation.training
        found += [one.network for one in (training, *training.ancestors())]
    return list(dict.fromkeys(found))


def _merged(lines: Sequence[CostRecord]) -> list[CostRecord]:
    """Lines of one network, scale and convention as one."""
    found: dict[tuple[str, str, str], CostRecord] = {}
    for line in lines:
        place = (line.arguments, line.scale, line.convention)
        before = found.get(place)
        ids = dict.fromkeys([*(before.rows.split(";") if before else ()), *line.rows.split(";")])
        found[place] = dataclasses.replace(line, rows=";".join(ids))
    return sorted(found.values(), key=lambda line: (list(SCALES).index(line.scale), line.rows, line.arguments))


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
