"""`vtbench plan`: the distinct training runs behind rows, and how much work is left."""

from __future__ import annotations

import argparse
from typing import Any

from vtbench.cli.options import (
    Parser,
    add_changes,
    add_folders,
    add_format,
    add_init,
    add_scale,
    add_seeds,
    add_selectors,
    selected_rows,
    settings_of,
)
from vtbench.report.printing import print_json, print_rows

SUMMARY = "Show which training runs are done, to do or blocked, and how much work is left"


def options(parser: Parser) -> None:
    """SEL, --format, --scale, --seeds, --results, --data, --weights."""
    add_selectors(parser)
    add_format(parser)
    add_scale(parser, "mini")
    add_seeds(parser)
    add_folders(parser)
    add_changes(parser)
    add_init(parser)


def call(args: argparse.Namespace) -> int:
    """Print one line per distinct training run."""
    rows, settings = selected_rows(args), settings_of(args)
    from vtbench.run.jobs.plan import plan

    entries = plan(rows, settings, args.scale, args.seeds)
    if args.format == "json":
        print_json(entries)
        return 0
    lines = [{**entry, "gmacs": None if entry["macs"] is None else entry["macs"] / 1e9} for entry in entries]
    columns = ["state", "training", "title", "seed", "needs", "gmacs", "seconds", "blocked_by"]
    if any(entry["downloads"] for entry in entries):
        columns.insert(-1, "downloads")
    print_rows(lines, columns, args.format)
    if args.format == "table":
        print(f"\n{_summary(entries, args.scale)}")
    return 0


def _summary(entries: list[dict[str, Any]], scale: str) -> str:
    states = [entry["state"] for entry in entries]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "to do", "blocked"))
    left = [entry for entry in entries if entry["state"] == "to do"]
    work = f"{sum(entry['macs'] or 0 for entry in left):.3g} MACs to do"
    seconds = [entry["seconds"] for entry in left if entry["seconds"] is not None]
    time = f", about {sum(seconds) / 60:.0f} min on one process" if seconds else ""
    return f"{len(entries)} distinct training runs at {scale} scale: {counts}; {work}{time}"
