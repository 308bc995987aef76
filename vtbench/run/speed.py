"""Latency, throughput, training steps and memory of the rows' networks, against a baseline row in the same run.

Rows become networks, and what vtbench.cost.speed measures becomes lines of
speed.csv. Weights are random and clips are noise: neither data nor checkpoints are needed.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from vtbench.cost.speed import (
    OUT_OF_MEMORY,
    Case,
    Machine,
    Precision,
    Work,
    largest_batch,
    peak_memory_gb,
    prepare,
    spread,
    time_in_turns,
)
from vtbench.errors import RunError, SpecError, UsageError
from vtbench.metrics import METRICS, is_memory, speed_metrics
from vtbench.papers.code.outside import folders_behind
from vtbench.papers.network import Network, network_of
from vtbench.papers.select import select
from vtbench.papers.spec.schema import Row
from vtbench.results import provenance
from vtbench.results.record import SpeedRecord
from vtbench.results.store import SpeedStore
from vtbench.run.network import built, check_network
from vtbench.scales import Scale

Tell = Callable[[str], None]

WORK: Mapping[str, Work] = {name: cast(Work, METRICS[name].work) for name in speed_metrics()}

MEMORY_ROUNDS = 3
"""Processes that measure the memory of one network."""

LINE_EVERY = 10.0
"""Seconds between two lines about how far a measurement is."""


@dataclass(frozen=True)
class Wanted:
    """What is measured and how. The batches are PST's (Section 4.4): 1 for latency and memory, 4 for throughput."""

    machine: Machine
    metrics: tuple[str, ...] = speed_metrics()
    rounds: int = 10
    throughput_batch: int = 4
    train_batch: int = 1

    def batch(self, metric: str) -> int:
        """The clips per pass, where memory suffices."""
        if metric == "throughput_vps":
            return self.throughput_batch
        return self.train_batch if WORK[metric] == "train" else 1


@dataclass
class Outcome:
    """What a command did: lines written, what there is to say about them, and what could not be measured."""

    written: list[SpeedRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Target:
    """A row to measure and the one it is measured against, with their networks."""

    row: Row
    network: Network
    against: Row | None
    against_network: Network | None


@dataclass(frozen=True)
class _Series:
    """One metric of one network: the clips per pass, and a number per round."""

    batch: int
    values: list[float]


Measured = dict[Network, tuple[_Series, _Series | None]]
"""One metric by network: its own series, and that of the baseline measured in turns with it."""


def machine(device: str, precision: Precision, threads: int | None = None) -> Machine:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device that is there. Raises UsageError for one that is not."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdigit())):
        raise UsageError(f"--device {device}: must be auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= gpus:
        there = f"cuda:0 to cuda:{gpus - 1} are there" if gpus else "torch finds no CUDA GPU"
        raise UsageError(f"--device {device}: {there}; choose another device, as --device cpu")
    on_gpu = kind == "cuda" or (kind == "auto" and gpus)
    return Machine(f"cuda:{number or 0}" if on_gpu else "cpu", precision, threads or torch.get_num_threads())


def measure(
    rows: Sequence[Row],
    store: SpeedStore,
    scale: Scale,
    wanted: Wanted,
    *,
    against: str | None = None,
    tell: Tell = lambda line: None,
) -> Outcome:
    """Measure the networks of rows, and append a line per row and metric as soon as it is measured.

    Every row is measured in turns with its baseline row, or with the row called `against` (paper/table:row), which is
    measured too where it was not selected. Rows that share a network and a baseline share the measurement. Where memory
    does not suffice the batch halves. What fails is reported and the rest goes on. Raises ResultsError at once when
    lines could not be written, SpecError for a network that cannot be built.
    """
    store.check()
    provenance.commit()  # now, before somebody commits while we measure
    outcome = Outcome()
    groups: dict[Network, list[_Target]] = {}
    for target in _targets(rows, scale, against, outcome):
        _root(target)  # now, likewise
        groups.setdefault(target.against_network or target.network, []).append(target)
    memory = _Memory(wanted.machine)
    now_and_then = _now_and_then(tell)
    if wanted.machine.device != "cpu":
        torch.cuda.set_device(wanted.machine.device)  # the one that torch's benchmark synchronises
    for baseline, members in groups.items():
        networks = list(dict.fromkeys([baseline, *(target.network for target in members)]))
        title = members[0].row.id + (f" +{len(networks) - 1}" if len(networks) > 1 else "")
        for metric in wanted.metrics:
            told = functools.partial(_prefixed, now_and_then, f"{title}: {metric}")
            series, failures = _measure(metric, networks, wanted, memory, told)
            for target in members:
                if target.network in failures:
                    outcome.failed.append(f"{target.row.id}: {metric}: {failures[target.network]}")
                    continue
                own, other = series[target.network]
                line = _record(target, metric, scale, own, other if target.against else None, wanted.machine)
                store.append(line)
                outcome.written.append(line)
                outcome.notes += _notes(line, wanted, other)
                tell(f"{line.id}: {_in_words(line)}")
    return outcome


# ---- for a reader ----------------------------------------------------------------------------------------------------


def side_by_side(lines: Sequence[SpeedRecord]) -> list[dict[str, str]]:
    """One entry per row: `id`, each metric, `against`, and each metric's ratio; quartiles in brackets."""
    entries: dict[str, dict[str, str]] = {}
    metrics = [metric for metric in speed_metrics() if any(line.metric == metric for line in lines)]
    for row_id in dict.fromkeys(line.id for line in lines):
        own: dict[str, SpeedRecord] = {line.metric: line for line in lines if line.id == row_id}
        entry = {"id": row_id}
        for metric in metrics:
            line = own.get(metric)
            entry[metric] = _number(line.value, line.q1, line.q3) if line else ""
        if any(line.against for line in lines):
            entry["against"] = next(iter(own.values())).against or ""
            for metric in metrics:
                line = own.get(metric)
                ratio = _number(line.ratio, line.ratio_q1, line.ratio_q3) if line and line.ratio is not None else ""
                entry[f"{metric.rpartition('_')[0]} ratio"] = ratio
        entries[row_id] = entry
    return list(entries.values())


def conditions(lines: Sequence[SpeedRecord]) -> str:
    """Under what the lines of one command were measured."""
    first = lines[0]
    batches = {line.metric: {other.batch for other in lines if other.metric == line.metric} for line in lines}
    said = ", ".join(f"{metric} {'/'.join(map(str, sorted(found)))}" for metric, found in batches.items())
    times = [f"rounds {line.rounds}" for line in lines if not is_memory(line.metric)]
    memory = [f"{line.rounds} processes for memory" for line in lines if is_memory(line.metric)]
    return (
        f"{first.device}, {first.precision}, threads {first.threads}, {', '.join(times[:1] + memory[:1])}; "
        f"median (quartiles); GB = 1e9 bytes; clips per pass: {said}"
    )


def _number(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.4g}" if low is None else f"{value:.4g} ({low:.4g}-{high:.4g})"


def _in_words(line: SpeedRecord) -> str:
    value = f"{line.metric} {line.value:.4g}"
    return value if line.ratio is None else f"{value}, ratio {line.ratio:.3f}"


def _prefixed(tell: Tell, title: str, what: str) -> None:
    tell(f"{title}: {what}")


def _now_and_then(tell: Tell) -> Tell:
    """`tell` for lines that only say that it goes on: one every LINE_EVERY seconds."""
    last = time.monotonic()

    def told(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            tell(line)

    return told


def _targets(rows: Sequence[Row], scale: Scale, against: str | None, outcome: Outcome) -> list[_Target]:
    """The rows with a network, and the baselines that are not among them."""
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
            outcome.notes.append(f"{row.id}: skipped, it has no network at {scale} scale ({row.status})")
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


class _Memory:
    """Peak memory by network, work and batch, each measured once, also where it did not suffice."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.found: dict[tuple[Network, Work, int], tuple[int, list[float]] | str] = {}

    def __call__(self, network: Network, work: Work, batch: int, rounds: int = 1) -> tuple[int, list[float]] | str:
        """The batch that fits, halved from `batch`, and its peak in GB in `rounds` processes or more; or why there is
        none."""
        what = network, work, batch
        try:
            if what not in self.found:
                fits, peak = largest_batch(_case(network), work, batch, self.machine)
                self.found[what] = fits, [peak]
            found = self.found[what]
            while not isinstance(found, str) and len(found[1]) < rounds:
                found[1].append(peak_memory_gb(_case(network), work, found[0], self.machine))
        except MemoryError as error:
            self.found[what] = f"{error} with one clip; a smaller --scale or a device with more memory may do"
        except RunError as error:
            self.found[what] = str(error)
        return self.found[what]


def _measure(
    metric: str, networks: Sequence[Network], wanted: Wanted, memory: _Memory, told: Tell
) -> tuple[Measured, dict[Network, str]]:
    """One metric of several networks, the first of which is the baseline, and why it could not be measured of the
    others."""
    failures: dict[Network, str] = {}
    fitting: dict[Network, int] = {}
    peaks: dict[Network, _Series] = {}
    rounds = min(wanted.rounds, MEMORY_ROUNDS) if is_memory(metric) else 1
    for number, network in enumerate(networks, start=1):
        # Whether a batch fits is found out in other processes: the system may end one without an error.
        fitting[network] = wanted.batch(metric)
        if metric != "latency_ms":
            told(f"memory of network {number} of {len(networks)}")
            found = memory(network, WORK[metric], wanted.batch(metric), rounds)
            if isinstance(found, str):
                failures[network] = found
                del fitting[network]
            else:
                fitting[network] = found[0]
                peaks[network] = _Series(found[0], found[1][:rounds])
    if is_memory(metric):
        return {network: (own, peaks.get(networks[0])) for network, own in peaks.items()}, failures
    measured, failed = _time(metric, fitting, wanted, told)
    series: Measured = {network: (own, measured.get(networks[0])) for network, own in measured.items()}
    if any(why.startswith(OUT_OF_MEMORY) for why in failed.values()):
        series, failed = _time_in_pairs(metric, fitting, series, failed, networks[0], wanted, told)
    return series, failures | failed


def _time(
    metric: str, batches: Mapping[Network, int], wanted: Wanted, told: Tell
) -> tuple[dict[Network, _Series], dict[Network, str]]:
    """Networks in turns, all of them loaded, and why one could not be measured."""
    by_key = {network.key: network for network in batches}
    seconds, failed = time_in_turns(
        {
            network.key: functools.partial(prepare, _case(network), WORK[metric], batch, wanted.machine)
            for network, batch in batches.items()
        },
        wanted.rounds,
        threads=wanted.machine.threads,
        told=lambda turn: told(f"round {turn} of {wanted.rounds}"),
    )
    series = {}
    for key, times in seconds.items():
        network = by_key[key]
        batch = batches[network]
        values = [batch / one if metric == "throughput_vps" else 1e3 * one for one in times]
        series[network] = _Series(batch, values)
    return series, {by_key[key]: why for key, why in failed.items()}


def _time_in_pairs(
    metric: str,
    fitting: Mapping[Network, int],
    series: Measured,
    failed: dict[Network, str],
    baseline: Network,
    wanted: Wanted,
    told: Tell,
) -> tuple[Measured, dict[Network, str]]:
    """Again what did not fit beside the others: with the baseline alone, and with fewer clips in both where that does
    not fit either. Where the baseline did not fit, all of them."""
    short = [network for network, why in failed.items() if why.startswith(OUT_OF_MEMORY)]
    series, failed = dict(series), {network: why for network, why in failed.items() if network not in short}
    for network in [*fitting] if baseline in short else short:
        if network in failed:
            continue
        pair = list(dict.fromkeys([baseline, network] if baseline in fitting and baseline not in failed else [network]))
        batch = min(fitting[one] for one in pair)
        while True:
            measured, missing = _time(metric, dict.fromkeys(pair, batch), wanted, told)
            if batch == 1 or not any(why.startswith(OUT_OF_MEMORY) for why in missing.values()):
                break
            batch //= 2
        if network in measured:
            series[network] = measured[network], measured.get(baseline)
        else:
            beside = " with its baseline loaded" if len(pair) > 1 else ""
            failed[network] = f"{missing[network]}{beside}; a device with more memory may do"
            series.pop(network, None)
    return series, failed


def _case(network: Network) -> Case:
    return Case(functools.partial(built, network), network.clip_shape)


def _root(target: _Target) -> str | None:
    return provenance.outside(folders_behind([target.row.root], [target.network.name]))


def _record(
    target: _Target, metric: str, scale: Scale, own: _Series, other: _Series | None, machine: Machine
) -> SpeedRecord:
    ratios = []
    if other and other.batch == own.batch and all(other.values):
        ratios = [a / b for a, b in zip(own.values, other.values, strict=True)]
    line: dict[str, Any] = {
        **provenance.environment(),
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
        "finished_at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for name, values in (("value", own.values), ("ratio", ratios)):
        prefix = f"{name}_" if name == "ratio" else ""
        found = spread(values) if values else None
        line[name] = found.median if found else None
        line[f"{prefix}q1"] = found.q1 if found and len(values) > 1 else None
        line[f"{prefix}q3"] = found.q3 if found and len(values) > 1 else None
    return SpeedRecord(**line)


def _notes(line: SpeedRecord, wanted: Wanted, other: _Series | None) -> list[str]:
    """What a reader of a line should know: a batch that had to halve, a ratio that could not be taken."""
    notes = []
    if line.batch < wanted.batch(line.metric):
        notes.append(f"{line.id}: {line.metric}: out of memory at batch {wanted.batch(line.metric)}, so {line.batch}")
    if line.against and line.ratio is None:
        why = f"which was measured at batch {other.batch}" if other else "which could not be measured"
        option = "--throughput-batch" if line.metric == "throughput_vps" else "--train-batch"
        remedy = f"; {option} {min(line.batch, other.batch)} measures both alike" if other else ""
        notes.append(f"{line.id}: {line.metric}: no ratio to {line.against}, {why}{remedy}")
    return notes
