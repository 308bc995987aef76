"""`vtbench status`: what runs where, and what waits, failed or stopped."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from vtbench.cli.options import Parser, add_format, add_results, add_selectors, results_of, selected_rows
from vtbench.report.printing import print_rows, print_text

SUMMARY = "Show what runs where, what waits, and what failed or stopped"
EXAMPLES = ("vtbench status", "vtbench status msca/table2 --format json")
PAGED = True

COLUMNS = ("state", "title", "seed", "scale", "phase", "done", "loss", "since", "where", "log", "training", "reason")
HIDDEN_FIRST = ("training", "log", "scale", "reason", "seed", "since")
"""Columns that a narrow terminal loses first; the reasons are also said below the table."""


def options(parser: Parser) -> None:
    """SEL, --format, --results."""
    add_selectors(parser, "default: all, of every scale and seed")
    add_format(parser)
    add_results(parser)


def call(args: argparse.Namespace) -> int:
    """Print one line per training run that is not done, and why each failed."""
    from vtbench.run.jobs.status import statuses

    found = statuses(results_of(args), rows_of(args))
    if not found and args.format == "table":
        print_text("nothing runs, waits, failed or stopped")
        return 0
    lines = [_line(asdict(one), args.format) for one in found]
    columns: tuple[str, ...] = COLUMNS
    if args.format in ("table", "md"):
        columns = tuple(name for name in columns if any(line[name] not in ("", None) for line in lines))
    print_rows(lines, columns, args.format, hide=HIDDEN_FIRST)
    if args.format == "table":
        for one in found:
            if one.reason:
                print_text(f"{one.title}: {one.reason}")
    return 0


def rows_of(args: argparse.Namespace) -> Collection[str] | None:
    """The ids of the rows that SEL names; None without SEL."""
    return {row.id for row in selected_rows(args)} if args.selectors else None


def _line(entry: dict[str, Any], form: str) -> dict[str, Any]:
    """For a reader, `3/50`; for a program, both numbers."""
    if form == "json":
        return entry
    done = "" if entry["total"] is None else f"{entry['done']}/{entry['total']}"
    loss = "" if entry["loss"] is None else f"{entry['loss']:.4g}"
    return {**entry, "done": done, "loss": loss}
