"""A training's network, built from the spec: for a run, or on the meta device to see that it can be and what it costs.

Between the two sides, as runner.py is: the spec's arguments, and those that follow from the data, become a network.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from vtbench.clips import each
from vtbench.cost import count_macs, count_params
from vtbench.cost.complexity import as_text, growth
from vtbench.datasets import data_class
from vtbench.errors import SpecError, UsageError, VtbenchError
from vtbench.evaluation import METRICS
from vtbench.layers.attention import ATTENTIONS
from vtbench.methods import method_class
from vtbench.models import build
from vtbench.models.vggish import MelStatistics, VGGish
from vtbench.naming import guarded, load
from vtbench.papers.cells import Published
from vtbench.papers.datasets import load_dataset
from vtbench.papers.load import load_paper
from vtbench.papers.network import Network
from vtbench.papers.recipe import Data
from vtbench.papers.resolve import measurements
from vtbench.papers.schema import Row
from vtbench.papers.trainings import Evaluation, Training
from vtbench.scales import Scale


def build_network(training: Training) -> torch.nn.Module:
    """The network of a training, weights as its builder draws them. Raises SpecError for impossible arguments."""
    return built(Network.of(training.data, training.model))


CHANGE, FORWARD = "change the model block (of the row, or --set)", "repair its forward"


def built(network: Network) -> torch.nn.Module:
    """The network, or SpecError with the builder's words where the arguments do not go together."""
    try:
        with guarded(network.name, "model", CHANGE):
            return build(network.name, **copy.deepcopy(dict(network.arguments)))
    except UsageError as error:  # a name that leads nowhere: whoever knows the row says where it stands
        raise SpecError(str(error)) from error
    except ValueError as error:  # of a builder of ours; anything else would be a mistake of ours
        raise SpecError(f"model {network.name}: {error}; {CHANGE}") from error


def build_audio_encoder(data: Data) -> torch.nn.Module | None:
    """What turns log-mel patches into features where clips have sound: VGGish, weights still to be loaded, or plain
    statistics of them."""
    encoders = {"vggish": VGGish, "mel": MelStatistics}
    return encoders[data.audio_encoder]() if data.audio_encoder else None


def impossible(training: Training, evaluations: Iterable[Evaluation] = ()) -> str | None:
    """Why a training or its evaluations cannot run on any data: a network that cannot be built or, if it is the user's,
    does not give scores for the classes; a module of the user's that cannot be imported. None if they can. Found before
    anything is trained or written."""
    try:
        check_network(Network.of(training.data, training.model))
        # Ours are there, and take seconds to import.
        if ":" in training.train.method:
            method_class(training.train.method)
        tested = list(evaluations)
        for module in {load_dataset(data.dataset).module for data in (training.data, *(e.data for e in tested))}:
            if ":" in module:
                data_class(module)
        for metric in {name for evaluation in tested for name in evaluation.eval.metrics or ()}:
            load(metric, METRICS, "metric")
    except VtbenchError as error:
        return str(error)
    return None


# ---- cost ------------------------------------------------------------------------------------------------------------


def clip_macs(training: Training) -> int:
    """Multiply-adds of one forward pass of one clip (convention `matmul`), counted on the meta device."""
    return _cost(Network.of(training.data, training.model))["gmacs"]["matmul"]


def cost(rows: Sequence[Row], scale: Scale = "paper") -> list[dict[str, Any]]:
    """Parameters and multiply-adds of each row's network, on the meta device: no weights, no data, no GPU.

    One entry per row with something to build: `id`, `params_m` (millions, under the convention that reproduces the
    print, else all parameters), `params_by_convention`, `gmacs` by convention (1e9 multiply-adds per clip),
    `published`, and `cells`: per printed cost cell `{printed, measured, convention, agrees}`.
    """
    entries = []
    for row in rows:
        wanted = measurements(row, scale, seed=0)
        if not wanted:
            continue
        training = wanted[0].evaluation.training
        try:
            counted = _cost(Network.of(training.data, training.model))
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
    """How the attentions of rows that print it grow: `id`, `attention`, `measured` (the polynomial in N places and T
    frames that counted multiply-adds follow, in pairs of tokens), `printed` (the row's cells)."""
    return [
        {"id": row.id, "attention": name, "measured": as_text(growth(ATTENTIONS[name])), "printed": dict(row.printed)}
        for row in rows
        for name in row.complexity
    ]


def _cost_cell(cell: Published, measured: dict[str, float], convention: str) -> dict[str, Any]:
    """The count under the paper's own convention where it agrees with the printed digits (rounded or cut), else under
    one that does; where none does, under its own."""
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
    """Whether `measured`, rounded or cut to the digits that the print vouches for, is the printed number."""
    unit = 10.0**-cell.decimals
    return abs(measured - cell.value) <= 0.5 * unit * (1 + 1e-9) or 0 <= measured - cell.value < unit


# ---- looking at a network --------------------------------------------------------------------------------------------


@functools.cache
def outline(network: Network) -> torch.nn.Module:
    """The network to be looked at: on the meta device, without memory for its weights, once for all rows and seeds that
    share it. One of the user's that computes with its weights while it is built has them. Raises SpecError."""
    try:
        with torch.device("meta"):
            return built(network).eval()
    except SpecError:
        if network.own:
            raise
    with torch.random.fork_rng(devices=[]):
        return built(network).eval()


@functools.cache
def check_network(network: Network) -> None:
    """Raise SpecError for a network of the user's that cannot be trained and kept: its forward pass fails or gives no
    scores (B, num_classes), or its state is not tensors alone. Ours are known to be in order."""
    model = outline(network)
    if network.own:
        return
    for name, value in model.state_dict().items():
        if not isinstance(value, torch.Tensor) or is_lazy(value):
            raise SpecError(
                f"model {network.name}: its state_dict() holds {name}, which is not a tensor of known shape; register "
                "parameters and buffers of their final size in __init__, and no extra state"
            )
    shape = _scores_of(network, model)
    classes = dict(network.arguments)["num_classes"]
    if shape != (2, classes):
        found = shape if isinstance(shape, str) else f"shape {shape}"
        raise SpecError(
            f"model {network.name}: for 2 clips of {network.clip_shape} it gives {found}; logits (2, {classes}) are "
            "wanted, one for each of num_classes"
        )


def _scores_of(network: Network, model: torch.nn.Module) -> tuple[int, ...] | str:
    """The shape of what a network of the user's gives for two clips, or in words what else it gives. On the meta device
    where it runs there, else with its weights."""

    def forward(model: torch.nn.Module) -> Any:
        device = next((value.device for value in model.state_dict().values()), torch.device("cpu"))
        clips = each(lambda shape: torch.zeros((2, *shape), device=device), network.clip_shape)
        with torch.inference_mode(), guarded(network.name, "model", FORWARD):
            return model(clips)

    try:
        given = forward(model)
    except SpecError:
        with torch.random.fork_rng(devices=[]):
            given = forward(built(network).eval())
    return tuple(given.shape) if isinstance(given, torch.Tensor) else f"a {type(given).__name__}"


@functools.cache
def _cost(network: Network) -> dict[str, dict[str, int]]:
    model = outline(network)
    one_clip = each(lambda shape: (1, *shape), network.clip_shape)
    try:
        with guarded(network.name, "model", FORWARD):
            return {"params": count_params(model), "gmacs": count_macs(model, one_clip)}
    except SpecError:  # of the user's alone
        with torch.random.fork_rng(devices=[]), guarded(network.name, "model", FORWARD):
            model = built(network)
            return {"params": count_params(model), "gmacs": count_macs(model, one_clip, device="cpu")}
