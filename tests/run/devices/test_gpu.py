"""What a training on GPUs may be given: arithmetic and compilation on one, weights in parts on two. Compiled training
is tried on a CPU too."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vtbench.papers.override import changed_rows
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.papers.trainings import Evaluation, Start
from vtbench.results import folders
from vtbench.run.engine import Engine
from vtbench.run.jobs.ranks import Work, measure
from vtbench.run.settings import Settings

one_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
two_gpus = [pytest.mark.gpu, pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")]
deepspeed = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs deepspeed")

# torch.compile hides some of its own warnings, which does not work where warnings are errors.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch", "ignore:The .grad attribute:UserWarning")

Weights = dict[str, torch.Tensor]


def evaluation_of(selector: str, *, gpu: bool) -> Evaluation:
    """A row at smoke scale, from random weights; of a scale that runs on GPUs, if it should."""
    row = changed_rows(select([selector]), (), ["train.epochs=2"])[0]
    found = measurements(row, "smoke", 0)[0].evaluation
    training = replace(found.training, init=Start(), **({"scale": "paper"} if gpu else {}))
    return replace(found, training=training)


def trained(evaluation: Evaluation, results: Path, **engine: Any) -> tuple[Weights, dict[str, Any]]:
    """Train and test; gives the weights and what the training recorded."""
    settings = Settings(results=results, engine=Engine(**engine), num_workers=0)
    measured = measure(Work(evaluation.training, {evaluation.key: evaluation}), settings, lambda *_: None)
    folder = folders.training_folder(results, evaluation.training.key)
    done = folders.read_json(folder / folders.DONE)
    assert measured[evaluation.key]["weights_sha256"] == done["weights_sha256"]
    assert measured[evaluation.key]["videos_decoded"] == measured[evaluation.key]["videos_expected"]
    return load_file(folder / folders.WEIGHTS), done


def far_apart(ours: Weights, theirs: Weights) -> float:
    """The largest difference between weights of the same names."""
    assert list(ours) == list(theirs)
    return max(float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours)


COMPILED = ({"compile": True}, {"compile": True, "grad_checkpointing": True})


@pytest.mark.slow
@pytest.mark.parametrize("engine", COMPILED, ids=str)
def test_compiled_training_on_a_cpu_ends_with_the_same_weights(engine: dict[str, Any], tmp_path: Path) -> None:
    evaluation = evaluation_of("msca/table2:msca-kv", gpu=False)
    plain, _ = trained(evaluation, tmp_path / "plain")
    weights, done = trained(evaluation, tmp_path / "compiled", **engine)
    assert done["engine"] == engine
    assert far_apart(weights, plain) < 1e-3


@pytest.mark.parametrize(
    ("engine", "apart"),
    [
        pytest.param({"precision": "bf16-mixed"}, 0.03, marks=one_gpu),
        pytest.param({"matmul_precision": "high", "benchmark": True}, 0.03, marks=one_gpu),
        pytest.param({"grad_checkpointing": True}, 1e-3, marks=one_gpu),
        *(pytest.param(engine, 0.01, marks=one_gpu) for engine in COMPILED),
        pytest.param({"compile": True, "precision": "bf16-mixed"}, 0.03, marks=one_gpu),
        pytest.param({"devices": 2}, 0.01, marks=two_gpus),
        pytest.param({"devices": 2, "strategy": "fsdp"}, 0.01, marks=two_gpus),
        pytest.param({"devices": 2, "strategy": "deepspeed"}, 0.01, marks=[*two_gpus, deepspeed]),
    ],
    ids=str,
)
def test_training_on_gpus_ends_with_much_the_same_weights(engine: dict[str, Any], apart: float, tmp_path: Path) -> None:
    evaluation = evaluation_of("msca/table2:msca-kv", gpu=True)
    plain, _ = trained(evaluation, tmp_path / "plain")
    weights, done = trained(evaluation, tmp_path / "other", **engine)
    assert engine.items() <= done["engine"].items()
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())
    assert far_apart(weights, plain) < apart
