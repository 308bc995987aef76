"""`vtbench results merge`: the results of several machines in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from vtbench.cli.options import Parser, add_results, settings_of
from vtbench.errors import few, printable

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
    from vtbench.cli.messages import print_message
    from vtbench.report.printing import plural
    from vtbench.results.merge import merge

    results = settings_of(args).results
    for merged in merge(args.folders, results, runs=args.with_runs, notice=print_message):
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
        if merged.other:
            said.append(
                f"{plural(len(merged.other), 'run folder')} left there, as {merged.other[0].parent} has the same with "
                "other weights"
            )
        print(printable(f"{merged.source}: {'; '.join(said)}"))
        if merged.blocked:
            print_message(
                f"{few(map(str, merged.blocked))}: unfinished, in the place of what is finished in {merged.source}; "
                "`vtbench run` finishes it, or move it away and merge again with --with-runs"
            )
    return 0
