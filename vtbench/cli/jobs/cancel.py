"""`vtbench cancel`: end training runs, on this machine and at SLURM."""

from __future__ import annotations

import argparse

from vtbench.cli.jobs.status import rows_of
from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, add_results, add_selectors, results_of
from vtbench.errors import UsageError
from vtbench.report.printing import print_text

SUMMARY = "End training runs that run or wait; `run` resumes them"
EXAMPLES = ("vtbench cancel msca/table2:msca-kv", "vtbench cancel --all")


def options(parser: Parser) -> None:
    """SEL, --all, --results."""
    add_selectors(parser, "at every scale and seed")
    parser.add_argument("--all", action="store_true", help="everything that runs or waits, of any row")
    add_results(parser)


def call(args: argparse.Namespace) -> int:
    """Cancel, and print one line for each."""
    if args.all == bool(args.selectors):
        raise UsageError("cancel needs a selector, or --all" + (", not both" if args.all else ""))
    from vtbench.run.jobs.status import cancel, statuses

    results = results_of(args)
    found = [one for one in statuses(results, rows_of(args)) if one.state in ("running", "queued")]
    failed = 0
    for one, error in cancel(found, results):
        if error is None:
            print_text(f"cancelled {one.title}, {one.scale} scale, seed {one.seed} ({one.where})")
        else:
            failed += 1
            print_message(f"{one.title}: {error}")
    if not found:
        print_text("nothing of these runs or waits")
    return 1 if failed else 0
