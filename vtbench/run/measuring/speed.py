"""Latency, throughput, training steps and memory of the rows' networks, against a baseline row in the same run.

Rows become networks, and what vtbench.cost.timing and vtbench.cost.memory measure becomes lines of speed.csv. Weights
are random and clips are noise: neither data nor checkpoints are needed.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from vtbench.cost.memory import largest_batch, peak_memory_gb
from vtbench.cost.passes import OUT_OF_MEMORY, Case, Machine, Precision, Work, build_pass
from vtbench.cost.timing import spread, time_in_turns
from vtbench.errors import RunError, SpecError, UsageError
from vtbench.fields import whole_number
from vtbench.files import utc_now
from vtbench.metrics import METRICS, is_memory, speed_metrics
from vtbench.papers.code.outside import folders_behind
from vtbench.papers.network import Network
from vtbench.papers.resolve import network_of
from vtbench.papers.select import select
from vtbench.papers.spec.schema import Row
from vtbench.results import provenance
from vtbench.results.record import SpeedRecord
from vtbench.results.store import SpeedStore
from vtbench.run.network import built, check_network
from vtbench.scales import Scale

WORK: Mapping[str, Work] = {name: cast(Work, METRICS[name].work) for name in speed_metrics()}

MEMORY_ROUNDS = 3
"""Processes that measure the memory of one network."""

LINE_EVERY = 10.0
"""Seconds between two lines about how far a measurement is, at least."""


@dataclass(frozen=True)
class SpeedOptions:
    """What is measured and how. The batches are PST's (Section 4.4): 1 for latency and memory, 4 for throughput."""

    machine: Machine
    metrics: tuple[str, ...] = speed_metrics()
    rounds: int = 10
    throughput_batch: int = 4
    train_batch: int = 1

    def batch(self, metric: str) -> int:
        """Clips per pass of a metric, if memory suffices."""
        if metric == "throughput_vps":
            return self.throughput_batch
        return self.train_batch if WORK[metric] == "train" else 1


@dataclass
class SpeedOutcome:
    """The lines written, notes about them (one sentence each), and what could not be measured and why."""

    written: list[SpeedRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Target:
    """A row to measure and the row it is compared with, with their networks."""

    row: Row
    network: Network
    against: Row | None
    against_network: Network | None


@dataclass(frozen=True)
class _Samples:
    """One metric of one network: the clips per pass, and one value per round."""

    batch: int
    values: list[float]


_WithBaseline = dict[Network, tuple[_Samples, _Samples | None]]
"""By network: its samples, and those of the baseline from the same rounds."""


def find_machine(device: str, precision: Precision, threads: int | None = None) -> Machine:
    """The machine to measure on. `device` is `auto`, `cpu`, `cuda` or `cuda:N`; `threads` defaults to torch's.

    Raises UsageError for a device that does not exist.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and whole_number(number) is not None)):
        raise UsageError(f"--device {device}: must be auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= gpus:
        found = f"torch finds cuda:0 to cuda:{gpus - 1}" if gpus else "torch finds no CUDA GPU"
        raise UsageError(f"--device {device}: {found}; choose another device, such as --device cpu")
    on_gpu = kind == "cuda" or (kind == "auto" and gpus)
    return Machine(f"cuda:{number or 0}" if on_gpu else "cpu", precision, threads or torch.get_num_threads())


def measure_speed(
    rows: Sequence[Row],
    store: SpeedStore,
    scale: Scale,
    options: SpeedOptions,
    *,
    against: str | None = None,
    on_progress: Callable[[str], None] = lambda line: None,
) -> SpeedOutcome:
    """Measure the networks of rows, and append a line per row and metric to `store` as soon as it is measured.

    - `against`: the row (paper/table:row) to measure every row against; by default each row's own `baseline`. It is
      measured too if it was not selected.
    - `on_progress`: called with one line of text about each value, and now and then about how far a measurement is

    A row takes turns with its baseline. Rows that share a network and a baseline share the measurement. If memory does
    not suffice, the batch halves. A failure is reported, and the rest is still measured. Raises ResultsError before any
    measurement if lines could not be written, SpecError for a network that cannot be built, UsageError for a baseline
    that is no row or has no network.
    """
    store.set_torn_aside()
    store.check()
    provenance.commit()  # now, before somebody commits while we measure
    outcome = SpeedOutcome()
    groups: dict[Network, list[_Target]] = {}
    for target in _targets(rows, scale, against, outcome):
        _root(target)  # now, before somebody changes a file there
        groups.setdefault(target.against_network or target.network, []).append(target)
    memory = _PeakMemory(options.machine)
    on_step = _throttled(on_progress)
    if options.machine.device != "cpu":
        torch.cuda.set_device(options.machine.device)  # the one that torch's benchmark synchronises
    for baseline, members in groups.items():
        networks = list(dict.fromkeys([baseline, *(target.network for target in members)]))
        title = members[0].row.id + (f" +{len(networks) - 1}" if len(networks) > 1 else "")
        for metric in options.metrics:
            on_metric = functools.partial(_prefixed, on_step, f"{title}: {metric}")
            samples, failures = _measure_metric(metric, networks, options, memory, on_metric)
            for target in members:
                if target.network in failures:
                    outcome.failed.append(f"{target.row.id}: {metric}: {failures[target.network]}")
                    continue
                own, other = samples[target.network]
                line = _record(target, metric, scale, own, other if target.against else None, options.machine)
                store.append(line)
                outcome.written.append(line)
                outcome.notes += _notes(line, options, other)
                on_progress(f"{line.id}: {_value_and_ratio(line)}")
    return outcome


def _value_and_ratio(line: SpeedRecord) -> str:
    value = f"{line.metric} {line.value:.4g}"
    return value if line.ratio is None else f"{value}, ratio {line.ratio:.3f}"


def _prefixed(on_progress: Callable[[str], None], title: str, step: str) -> None:
    on_progress(f"{title}: {step}")


def _throttled(on_progress: Callable[[str], None]) -> Callable[[str], None]:
    """`on_progress` for lines about how far a measurement is: at most one every LINE_EVERY seconds."""
    last = time.monotonic()

    def call(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            on_progress(line)

    return call


def _targets(rows: Sequence[Row], scale: Scale, against: str | None, outcome: SpeedOutcome) -> list[_Target]:
    """The rows with a network, and their baselines that are not among them. Skipped rows become notes."""
    if against and ":" not in against:
        raise UsageError(f"--against {against}: must name one row, as paper/table:row")
    baselines: dict[str, Row] = {}
    for row in rows:
        name = against or row.baseline_id
        if name and name != row.id:
            (baselines[row.id],) = select([name])
    networks: dict[str, Network] = {}
    every = {row.id: row for row in (*rows, *baselines.values())}
    for row in every.values():
        network = network_of(row, scale)
        if network is None:
            if row in baselines.values():
                raise UsageError(f"{row.id} has no network at {scale} scale to measure against; choose --against ROW")
            outcome.notes.append(f"{row.id}: skipped: no network at {scale} scale ({row.status})")
            continue
        try:
            check_network(network)
        except SpecError as error:
            raise SpecError(f"{row.where}: {error}") from error
        networks[row.id] = network
    targets = []
    for name, network in networks.items():
        other = baselines.get(name)
        targets.append(_Target(every[name], network, other, networks[other.id] if other else None))
    return targets


# ---- measuring -------------------------------------------------------------------------------------------------------


class _PeakMemory:
    """Peak memory by network, work and batch, each measured once, also if it does not fit."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.found: dict[tuple[Network, Work, int], tuple[int, list[float]] | str] = {}

    def __call__(self, network: Network, work: Work, batch: int, rounds: int = 1) -> tuple[int, list[float]] | str:
        """The batch that fits, halved from `batch`, and its peak in GB in at least `rounds` processes; or why none
        fits."""
        key = network, work, batch
        try:
            if key not in self.found:
                fits, peak = largest_batch(_case(network), work, batch, self.machine)
                self.found[key] = fits, [peak]
            found = self.found[key]
            while not isinstance(found, str) and len(found[1]) < rounds:
                found[1].append(peak_memory_gb(_case(network), work, found[0], self.machine))
        except MemoryError as error:
            self.found[key] = f"{error} with one clip; try a smaller --scale or a device with more memory"
        except RunError as error:
            self.found[key] = str(error)
        return self.found[key]


def _measure_metric(
    metric: str,
    networks: Sequence[Network],
    options: SpeedOptions,
    memory: _PeakMemory,
    on_progress: Callable[[str], None],
) -> tuple[_WithBaseline, dict[Network, str]]:
    """One metric of several networks, the first of which is the baseline; and why some could not be measured."""
    failures: dict[Network, str] = {}
    fitting: dict[Network, int] = {}
    peaks: dict[Network, _Samples] = {}
    rounds = min(options.rounds, MEMORY_ROUNDS) if is_memory(metric) else 1
    for number, network in enumerate(networks, start=1):
        # Other processes find out whether a batch fits: the system may kill one without an error.
        fitting[network] = options.batch(metric)
        if metric != "latency_ms":
            on_progress(f"memory of network {number} of {len(networks)}")
            found = memory(network, WORK[metric], options.batch(metric), rounds)
            if isinstance(found, str):
                failures[network] = found
                del fitting[network]
            else:
                fitting[network] = found[0]
                peaks[network] = _Samples(found[0], found[1][:rounds])
    if is_memory(metric):
        return {network: (own, peaks.get(networks[0])) for network, own in peaks.items()}, failures
    timed, failed = _time_together(metric, fitting, options, on_progress)
    samples: _WithBaseline = {network: (own, timed.get(networks[0])) for network, own in timed.items()}
    if any(why.startswith(OUT_OF_MEMORY) for why in failed.values()):
        samples, failed = _time_in_pairs(metric, fitting, samples, failed, networks[0], options, on_progress)
    return samples, failures | failed


def _time_together(
    metric: str, batches: Mapping[Network, int], options: SpeedOptions, on_progress: Callable[[str], None]
) -> tuple[dict[Network, _Samples], dict[Network, str]]:
    """Time networks in turns, with all of them loaded; and why some could not be timed."""
    by_key = {network.key: network for network in batches}
    seconds, failed = time_in_turns(
        {
            network.key: functools.partial(build_pass, _case(network), WORK[metric], batch, options.machine)
            for network, batch in batches.items()
        },
        options.rounds,
        threads=options.machine.threads,
        on_round=lambda finished: on_progress(f"round {finished} of {options.rounds}"),
    )
    samples = {}
    for key, times in seconds.items():
        network = by_key[key]
        batch = batches[network]
        values = [batch / one if metric == "throughput_vps" else 1e3 * one for one in times]
        samples[network] = _Samples(batch, values)
    return samples, {by_key[key]: why for key, why in failed.items()}


def _time_in_pairs(
    metric: str,
    fitting: Mapping[Network, int],
    samples: _WithBaseline,
    failed: dict[Network, str],
    baseline: Network,
    options: SpeedOptions,
    on_progress: Callable[[str], None],
) -> tuple[_WithBaseline, dict[Network, str]]:
    """Time again what did not fit beside the others (everything, if that was the baseline): each network with only the
    baseline loaded, and with fewer clips in both if even that does not fit."""
    short = [network for network, why in failed.items() if why.startswith(OUT_OF_MEMORY)]
    samples, failed = dict(samples), {network: why for network, why in failed.items() if network not in short}
    for network in [*fitting] if baseline in short else short:
        if network in failed:
            continue
        pair = list(dict.fromkeys([baseline, network] if baseline in fitting and baseline not in failed else [network]))
        batch = min(fitting[one] for one in pair)
        while True:
            timed, missing = _time_together(metric, dict.fromkeys(pair, batch), options, on_progress)
            if batch == 1 or not any(why.startswith(OUT_OF_MEMORY) for why in missing.values()):
                break
            batch //= 2
        if network in timed:
            samples[network] = timed[network], timed.get(baseline)
        else:
            beside = " with its baseline loaded" if len(pair) > 1 else ""
            failed[network] = f"{missing[network]}{beside}; try a device with more memory"
            samples.pop(network, None)
    return samples, failed


def _case(network: Network) -> Case:
    return Case(functools.partial(built, network), network.clip_shape)


def _root(target: _Target) -> str | None:
    return provenance.outside(folders_behind([target.row.root], [target.network.name]))


def _record(
    target: _Target, metric: str, scale: Scale, own: _Samples, other: _Samples | None, machine: Machine
) -> SpeedRecord:
    ratios = []
    if other and other.batch == own.batch and all(other.values):
        ratios = [a / b for a, b in zip(own.values, other.values, strict=True)]
    line: dict[str, Any] = {
        **provenance.software(),
        "root": _root(target),
        "id": target.row.id,
        "scale": scale,
        "metric": metric,
        "batch": own.batch,
        "rounds": len(own.values),
        "against": target.against.id if target.against else None,
        "network": target.network.key,
        "against_network": target.against_network.key if target.against_network else None,
        "precision": machine.precision,
        "device": "cpu" if machine.device == "cpu" else torch.cuda.get_device_name(machine.device),
        "threads": machine.threads,
        "finished_at": utc_now(),
    }
    for name, values in (("value", own.values), ("ratio", ratios)):
        prefix = f"{name}_" if name == "ratio" else ""
        found = spread(values) if values else None
        line[name] = found.median if found else None
        line[f"{prefix}q1"] = found.q1 if found and len(values) > 1 else None
        line[f"{prefix}q3"] = found.q3 if found and len(values) > 1 else None
    return SpeedRecord(**line)


def _notes(line: SpeedRecord, options: SpeedOptions, other: _Samples | None) -> list[str]:
    """What a reader of a line should know: that the batch had to halve, or why there is no ratio."""
    notes = []
    if line.batch < options.batch(line.metric):
        notes.append(
            f"{line.id}: {line.metric}: out of memory at batch {options.batch(line.metric)}, measured at {line.batch}"
        )
    if line.against and line.ratio is None:
        why = f"which was measured at batch {other.batch}" if other else "which could not be measured"
        option = "--throughput-batch" if line.metric == "throughput_vps" else "--train-batch"
        remedy = f"; {option} {min(line.batch, other.batch)} measures both at the same batch" if other else ""
        notes.append(f"{line.id}: {line.metric}: no ratio to {line.against}, {why}{remedy}")
    return notes
