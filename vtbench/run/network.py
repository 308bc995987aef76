"""A training's network, built from the spec: for a run, or on the meta device to see that it can be."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from vtbench.clips import map_modalities
from vtbench.datasets import data_class
from vtbench.errors import SpecError, UsageError, VtbenchError
from vtbench.evaluation import metric_function
from vtbench.methods import method_class
from vtbench.models import build
from vtbench.naming import guarded
from vtbench.papers.datasets import load_dataset
from vtbench.papers.network import Network
from vtbench.papers.trainings import Evaluation, Training

CHANGE, FORWARD = "change the model block (of the row, or --set)", "repair its forward"


def spec_of(network: Network) -> dict[str, Any]:
    """Name and arguments of a network, as vtbench.models.build takes them: whoever builds one, to train, test, count or
    time it, builds it from these. They are a copy, which the builder may change."""
    return {"name": network.name, **copy.deepcopy(dict(network.arguments))}


def built(network: Network) -> torch.nn.Module:
    """The network, or SpecError with the builder's words where the arguments do not go together."""
    try:
        return build(**spec_of(network))
    except UsageError as error:  # a name that leads nowhere: whoever knows the row says where it stands
        raise SpecError(str(error)) from error
    except ValueError as error:  # of a builder of ours; anything else would be a mistake of ours
        raise SpecError(f"model {network.name}: {error}; {CHANGE}") from error


def impossible(training: Training, evaluations: Iterable[Evaluation] = ()) -> str | None:
    """Why a training or its evaluations cannot run on any data: a network that cannot be built or, if it is the user's,
    does not give scores for the classes; a module of the user's that cannot be imported. None if they can. Found before
    anything is trained or written."""
    try:
        check_network(training.network)
        # Ours are there, and take seconds to import.
        if ":" in training.train.method:
            method_class(training.train.method)
        tested = list(evaluations)
        for module in {load_dataset(data.dataset).module for data in (training.data, *(e.data for e in tested))}:
            if ":" in module:
                data_class(module)
        for metric in {name for evaluation in tested for name in evaluation.eval.metrics or ()}:
            metric_function(metric)
    except VtbenchError as error:
        return str(error)
    return None


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
        clips = map_modalities(lambda shape: torch.zeros((2, *shape), device=device), network.clip_shape)
        with torch.inference_mode(), guarded(network.name, "model", FORWARD):
            return model(clips)

    try:
        given = forward(model)
    except SpecError:
        with torch.random.fork_rng(devices=[]):
            given = forward(built(network).eval())
    return tuple(given.shape) if isinstance(given, torch.Tensor) else f"a {type(given).__name__}"
