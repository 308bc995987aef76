"""A row's protocol from Python: its objects, and its test on a network of one's own. No spec file is needed.

    parts = vtbench.assemble("pst/table3:pst-t-in1k-1x1@sthv2", network=mine, data="/data/sthv2")
    lightning.Trainer(**parts.trainer).fit(parts.method, parts.data)
    record = vtbench.evaluate("pst/table3:pst-t-in1k-1x1@sthv2", mine, "/data/sthv2")

Both take a selector as the command line does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from vtbench.datasets.module import VideoData
from vtbench.errors import UsageError, unknown
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Measurement
from vtbench.results import folders
from vtbench.results.record import Record
from vtbench.run.assemble import Assembly, assemble_test
from vtbench.run.assemble import assemble as assemble_training
from vtbench.run.evaluate import given_weights_key, measure_network
from vtbench.run.recording import to_record
from vtbench.run.session import errors_in_one_line
from vtbench.run.settings import Settings
from vtbench.scales import SCALES, Scale
from vtbench.weights import save_network, sha256_of

Folder = str | Path


def assemble(
    selector: str,
    *,
    network: nn.Module | None = None,
    data: Folder | None = None,
    scale: Scale = "paper",
    seed: int = 0,
    weights: Mapping[str, Folder] | None = None,
    results: Folder = "results",
) -> Assembly:
    """The network, method, data module and trainer options of one measurement of a row.

    - selector: paper/table:row, with @measurement where the row has several
    - network: one of one's own, in place of the row's
    - data: folder of the videos; a synthetic set is made below `data/` without one
    - scale, seed: as `vtbench run` takes them
    - weights: name of given weights -> file, for `load_start`
    - results: folder in which a training that this one starts from lies

    Seeds all random generators, and uses one CPU thread below paper scale. Raises UsageError for a selector that names
    not exactly one measurement, and a VtbenchError for what is not there.
    """
    measurement = only_measurement(selector, scale, seed)
    training = measurement.evaluation.training
    settings = _settings({training.data.dataset: data}, weights or {}, results)
    return assemble_training(training, settings, network=network)


def evaluate(
    selector: str,
    network: nn.Module,
    data: Folder | VideoData | None = None,
    *,
    scale: Scale = "paper",
    seed: int = 0,
    weights: Mapping[str, Folder] | None = None,
) -> Record:
    """What a network of one's own gets under the test protocol of a row: views, resolution, averaging, metrics.

    - selector, scale, seed, weights: as in `assemble`
    - network: clips (B, T, 3, H, W), or clips by modality, to logits (B, num_classes)
    - data: folder of the videos, or a data module that gives the views itself

    Nothing is written, and random generators and the number of threads are left as they were. The record says that the
    weights were given, so it is never the row's own result. Raises UsageError as `assemble` does and for a network that
    gives another number of classes, RunError where no video could be read.
    """
    measurement = only_measurement(selector, scale, seed)
    evaluation = measurement.evaluation
    given = None if isinstance(data, VideoData) else data
    settings = _settings({evaluation.data.dataset: given}, weights or {}, "results")
    with tempfile.TemporaryDirectory() as folder, _threads_kept(), isolate_rng(), errors_in_one_line(None):
        parts = assemble_test(evaluation, settings, network=network)
        if isinstance(data, VideoData):
            parts = dataclasses.replace(parts, data=data)
        file = Path(folder) / folders.WEIGHTS
        save_network(network, file)
        sha256 = sha256_of(file)
        origin = {
            "loaded": "given as a network",
            "evaluation_key": given_weights_key(evaluation, sha256),
            "training_key": f"file:{sha256[:12]}",
            "weights_sha256": sha256,
        }
        measure_network(parts, evaluation, Path(folder), origin)
        return to_record(measurement, folders.read_json(Path(folder) / folders.DONE), settings)


@contextlib.contextmanager
def _threads_kept() -> Iterator[None]:
    """The caller's number of CPU threads is as it was when the block ends."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def only_measurement(selector: str, scale: Scale, seed: int) -> Measurement:
    """The one measurement that a selector names at a scale. Raises UsageError, listing them, where there are more, and
    where there is none."""
    if scale not in SCALES:
        raise UsageError(unknown("scale", scale, SCALES))
    rows = select([selector])
    if len(rows) > 1:
        raise UsageError(f"{selector} names {len(rows)} rows; name one, as {rows[0].id}")
    return only_measurement_of(rows[0], scale, seed)


def only_measurement_of(row: Row, scale: Scale, seed: int) -> Measurement:
    """The one measurement of a row at a scale. Raises UsageError as `only_measurement`."""
    found = measurements(row, scale, seed)
    if not found:
        raise UsageError(f"{row.id} has nothing to train or test at {scale} scale ({row.status})")
    if len(found) > 1:
        raise UsageError(
            f"{row.id} has {len(found)} measurements; name one of {', '.join(f'{row.id}@{m.name}' for m in found)}"
        )
    return found[0]


def _settings(data: Mapping[str, Folder | None], weights: Mapping[str, Folder], results: Folder) -> Settings:
    return Settings(
        results=Path(results),
        data={name: Path(folder).expanduser() for name, folder in data.items() if folder is not None},
        weights={name: Path(file).expanduser() for name, file in weights.items()},
    )
