"""`vtbench run`: train and test what has no result yet."""

from __future__ import annotations

import argparse

from vtbench.cli.messages import print_message
from vtbench.cli.options import (
    Parser,
    add_folders,
    add_machine,
    add_scale,
    add_seeds,
    add_selectors,
    one_of,
    positive,
    selected_rows,
    settings_of,
)

SUMMARY = "Train and test what has no result yet; resumes if interrupted"


def options(parser: Parser) -> None:
    """SEL, --scale, --seeds, folders, machine, --again, --test-again, --workers, --wandb."""
    add_selectors(parser)
    add_scale(parser, "mini")
    add_seeds(parser)
    add_folders(parser)
    add_machine(parser)
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--again", action="store_true", help="train and test even if results exist; keeps the old ones")
    again.add_argument("--test-again", action="store_true", help="test even if results exist, with the same weights")
    workers = "training runs side by side; default: the number of cores, 1 at paper scale"
    parser.add_argument("--workers", type=positive, metavar="N", help=workers)
    parser.add_argument(
        "--wandb",
        **one_of("mode", ("off", "offline", "online")),
        default="off",
        help="log to Weights & Biases; default: off",
    )


def call(args: argparse.Namespace) -> int:
    """Run, show progress on stderr, and print how many results were written."""
    rows, settings = selected_rows(args), settings_of(args)
    from vtbench.cli.progress import TerminalDisplay
    from vtbench.run.jobs import launch

    outcome = launch.run(
        rows,
        settings,
        args.scale,
        args.seeds,
        again=args.again,
        test_again=args.test_again,
        workers=args.workers,
        display=TerminalDisplay(),
    )
    for failure in outcome.failed:
        print_message(f"{failure.title}: {failure.reason}")
    written = f"{len(outcome.written)} results written to {settings.results / 'results.csv'}"
    print(f"{written}, {outcome.already} already there, {len(outcome.failed)} failed")
    return max((failure.exit_code for failure in outcome.failed), default=0)
