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
from vtbench.scales import SCALES

SUMMARY = "Show which training runs are done, to do or blocked, and how much work is left"
EXAMPLES = (
    "vtbench plan msca/table2 --seeds 0-2",
    "vtbench plan pst/table2a --device a100",
    "vtbench plan pst/table3@sthv2 --scale paper --data sthv2=/datasets/something-v2",
)
PAGED = True


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
    hours = ("hours",) if SCALES[args.scale].real else ()
    downloads = ("downloads",) if any(entry["downloads"] for entry in entries) else ()
    columns = ("state", "training", "title", "seed", "needs", "gmacs", *hours, "seconds", *downloads, "blocked_by")
    print_rows(lines, columns, args.format)
    if args.format == "table":
        print(f"\n{_summary(entries, args.scale)}")
        for line in _hours_by_table(entries):
            print(line)
    return 0


def _summary(entries: list[dict[str, Any]], scale: str) -> str:
    states = [entry["state"] for entry in entries]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "to do", "blocked"))
    left = [entry for entry in entries if entry["state"] == "to do"]
    work = f"{sum(entry['macs'] or 0 for entry in left):.3g} MACs to do"
    seconds = [entry["seconds"] for entry in left if entry["seconds"] is not None]
    time = f", about {sum(seconds) / 60:.0f} min on one process" if seconds else ""
    return f"{len(entries)} distinct training runs at {scale} scale: {counts}; {work}{time}"


def _hours_by_table(entries: list[dict[str, Any]]) -> list[str]:
    """One line per table with what all its training runs take, those that they start from included; none where it was
    not estimated."""
    from vtbench.report.hours import GPU

    by_key = {entry["training"]: entry for entry in entries}
    tables: dict[str, set[str]] = {}
    for entry in entries:
        chain: list[str] = []
        key: str | None = entry["training"]
        while key is not None:
            chain.append(key)
            key = by_key[key]["needs"]
        for row in entry["rows"]:
            tables.setdefault(row.partition(":")[0], set()).update(chain)
    lines = []
    for table, keys in tables.items():
        hours = [by_key[key]["hours"] for key in keys]
        if all(one is not None for one in hours):
            lines.append(f"{table}: about {sum(hours):.0f} hours on one {GPU}")
    return lines
