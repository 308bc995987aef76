"""`vtbench speed`: latency, throughput, training steps and memory of each row's network, measured on this machine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vtbench.cli.messages import print_message
from vtbench.cli.options import (
    Parser,
    add_format,
    add_results,
    add_scale,
    add_selectors,
    one_of,
    positive,
    selected_rows,
    settings_of,
)
from vtbench.errors import UsageError, printable, unknown
from vtbench.report.printing import plural, print_rows, print_text
from vtbench.scales import SCALES

if TYPE_CHECKING:
    from vtbench.results.record import SpeedRecord

SUMMARY = "Measure latency, throughput and memory of each row's network"
EXAMPLES = (
    "vtbench speed pst/table6 --only latency,memory",
    "vtbench speed laps/table1:laps --against laps/table1:base2d --device cuda --precision bf16-mixed",
)

METRICS = {
    "latency": ("latency_ms",),
    "throughput": ("throughput_vps",),
    "memory": ("memory_gb",),
    "train": ("train_step_ms", "train_memory_gb"),
}
"""Word of --only -> the metrics that it stands for."""

MOST_CLIPS = 4096
"""The largest batch that may be asked for. What does not fit is halved until it does, which starts here."""


def options(parser: Parser) -> None:
    """SEL, --format, --scale, what is measured and how, --results."""
    add_selectors(parser)
    add_format(parser)
    add_scale(parser, "paper")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N; default: auto")
    precisions = ("32-true", "16-mixed", "bf16-mixed")
    parser.add_argument("--precision", **one_of("precision", precisions), default="32-true", help="default: 32-true")
    parser.add_argument("--rounds", type=positive, default=10, metavar="N", help="turns of each network; default: 10")
    threads = "CPU threads; default: torch's at paper and lab scale, 1 below them, as in `run`"
    parser.add_argument("--threads", type=_threads, metavar="N", help=threads)
    against = "measure all rows against this one; default: the `baseline` of each in its spec"
    parser.add_argument("--against", metavar="ROW", help=against)
    words = ",".join(METRICS)
    parser.add_argument("--only", type=_metrics, metavar="WHAT,...", help=f"some of {words}; default: all")
    batch = "clips per pass of throughput; default: 4"
    parser.add_argument("--throughput-batch", type=_clips, default=4, metavar="N", help=batch)
    parser.add_argument(
        "--train-batch", type=_clips, default=1, metavar="N", help="clips per training step; default: 1"
    )
    add_results(parser)


def _clips(text: str) -> int:
    """Clips per pass, as an argparse type."""
    if (count := positive(text)) > MOST_CLIPS:
        raise argparse.ArgumentTypeError(f"{text} clips in one pass; give at most {MOST_CLIPS}")
    return count


def _threads(text: str) -> int:
    """CPU threads, as an argparse type: more than cores only wait for each other."""
    if (count := positive(text)) > (cores := os.cpu_count() or 1):
        raise argparse.ArgumentTypeError(f"{text} threads on {cores} cores; give at most {cores}")
    return count


def _metrics(text: str) -> tuple[str, ...]:
    """The metrics of --only, as an argparse type."""
    words = text.split(",")
    for word in words:
        if word not in METRICS:
            raise argparse.ArgumentTypeError(unknown("measurement", word, METRICS))
    return tuple(metric for word, metrics in METRICS.items() for metric in metrics if word in words)


def call(args: argparse.Namespace) -> int:
    """Measure, print each value on stderr as soon as it is known, then one line per row with its ratios."""
    if not args.selectors:
        raise UsageError("speed needs a selector: the rows whose networks are measured")
    rows, settings = selected_rows(args), settings_of(args)
    from vtbench.metrics import speed_metrics
    from vtbench.results.store import SpeedStore
    from vtbench.run.measuring import speed

    machine = speed.find_machine(args.device, args.precision, args.threads or (None if SCALES[args.scale].real else 1))
    how = speed.SpeedOptions(
        machine, args.only or speed_metrics(), args.rounds, args.throughput_batch, args.train_batch
    )
    store = SpeedStore(settings.results, notice=_print_progress)
    try:
        outcome = speed.measure_speed(rows, store, args.scale, how, against=args.against, on_progress=_print_progress)
    except KeyboardInterrupt:
        kept = f"what was measured before is in {store.path}" if store.path.exists() else "nothing was measured yet"
        print_message(f"interrupted; {kept}")
        return 1
    if args.format in ("json", "csv"):
        print_rows([line.as_dict() for line in outcome.written], store.record.columns(), args.format)
    elif outcome.written:
        entries = side_by_side(outcome.written)
        columns = list(dict.fromkeys(name for entry in entries for name in entry))
        values = [name for name in reversed(columns) if name in speed_metrics()]
        hide = ("against", *values) if "against" in columns else ()  # ratios are what another machine can repeat
        print_rows(entries, columns, args.format, hide=hide, all_in="--format md")
        if args.format == "table":
            print()
            print_text(conditions(outcome.written))
            print_text(f"{args.scale} scale: {plural(len(outcome.written), 'line')} written to {store.path}")
    for line in (*outcome.notes, *outcome.failed):
        print_message(line)
    return 1 if outcome.failed else 0


def _print_progress(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def side_by_side(lines: Sequence[SpeedRecord]) -> list[dict[str, str]]:
    """One entry per row: `id`, each metric, `against`, and each metric's ratio; quartiles in brackets."""
    from vtbench.metrics import speed_metrics

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
    """What the lines of one command have in common: device, precision, threads, rounds, batches, units."""
    from vtbench.metrics import is_memory

    first = lines[0]
    batches = {line.metric: {other.batch for other in lines if other.metric == line.metric} for line in lines}
    clips = ", ".join(f"{metric} {'/'.join(map(str, sorted(found)))}" for metric, found in batches.items())
    times = [f"rounds {line.rounds}" for line in lines if not is_memory(line.metric)]
    memory = [f"{line.rounds} processes for memory" for line in lines if is_memory(line.metric)]
    return (
        f"{first.device}, {first.precision}, threads {first.threads}, {', '.join(times[:1] + memory[:1])}; "
        f"median (quartiles); GB = 1e9 bytes; clips per pass: {clips}"
    )


def _number(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.4g}" if low is None else f"{value:.4g} ({low:.4g}-{high:.4g})"
