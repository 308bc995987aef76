"""`vtbench results merge`: the results of several machines in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from vtbench.cli.options import Parser, add_results, settings_of
from vtbench.errors import printable

SUMMARY = "Add the lines of other results folders to one"
EXAMPLES = (
    "vtbench results merge here there --results all",
    "vtbench results merge there --results all --with-runs",
)


def options(parser: Parser) -> None:
    """DIR ..., --with-runs, --results."""
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="folders of results; nothing in them is changed"
    )
    parser.add_argument(
        "--with-runs",
        action="store_true",
        help="copy the finished run folders too, with weights and scores: what a training starts from, and what "
        "report compares video by video",
    )
    add_results(parser)


def call(args: argparse.Namespace) -> int:
    """Merge, and say what each folder gave."""
    from vtbench.report.printing import plural
    from vtbench.results.merge import merge

    results = settings_of(args).results
    for merged in merge(args.folders, results, runs=args.with_runs):
        said = [
            f"{plural(count, 'line')} of {name} added, {merged.there[name]} there already"
            for name, count in merged.added.items()
        ]
        if merged.exported:
            said.append(f"{plural(merged.exported, 'file')} of scores and curves copied")
        if merged.runs:
            said.append(f"{plural(len(merged.runs), 'run folder')} copied")
        if merged.left:
            said.append(f"{plural(len(merged.left), 'run folder')} left there (--with-runs copies)")
        print(printable(f"{merged.source}: {'; '.join(said)}"))
    return 0
