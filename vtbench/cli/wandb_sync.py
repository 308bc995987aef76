"""`vtbench wandb sync`: push what is in the results folder and not on Weights & Biases yet."""

from __future__ import annotations

import argparse

from vtbench.cli.messages import print_message
from vtbench.cli.options import (
    Parser,
    add_changes,
    add_results,
    add_selectors,
    add_wandb_artifacts,
    add_wandb_place,
    one_of,
    selected_rows,
    settings_of,
    wandb_target,
)
from vtbench.scales import smallest_first

SUMMARY = "Push results that are not there yet, each once; also those that `run` could not log"


def options(parser: Parser) -> None:
    """SEL, --scale, --mode, --again, --results, --wandb-..., --variant and --set."""
    add_selectors(parser)
    parser.add_argument(
        "--scale", **one_of("scale", smallest_first()), help="only this scale; default: every scale that has results"
    )
    parser.add_argument(
        "--mode",
        **one_of("mode", ("online", "offline")),
        help="offline writes the runs below the results folder, to be sent later; default: $WANDB_MODE, else online",
    )
    parser.add_argument("--again", action="store_true", help="push also what was pushed before")
    add_results(parser)
    add_wandb_place(parser)
    add_wandb_artifacts(parser)
    add_changes(parser)


def call(args: argparse.Namespace) -> int:
    """Push, and print how many runs were."""
    rows, results = selected_rows(args), settings_of(args).results
    from vtbench.report.wandb.session import require_login
    from vtbench.report.wandb.sync import sync

    target = wandb_target(args, args.mode)
    require_login(target)
    outcome = sync(rows, results, target, args.scale, again=args.again)
    for line in outcome.failed:
        print_message(line)
    if outcome.stale:
        print_message(f"{outcome.stale} results are of an older spec and stay here")
    print(
        f"{len(outcome.pushed)} runs pushed to {target.title}, {outcome.already} already there, "
        f"{len(outcome.failed)} failed"
    )
    return 1 if outcome.failed else 0
