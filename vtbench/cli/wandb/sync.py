"""`vtbench wandb sync`: push what is in the results folder and not on Weights & Biases yet."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator

from vtbench.cli.messages import print_message
from vtbench.cli.options import (
    Parser,
    add_changes,
    add_results,
    add_selectors,
    add_wandb_artifacts,
    add_wandb_place,
    add_wandb_tags,
    one_of,
    results_of,
    selected_rows,
    wandb_target,
)
from vtbench.errors import UsageError
from vtbench.scales import smallest_first

SUMMARY = "Push results that are not there yet, each once; also those that `run` could not log"
EXAMPLES = (
    "vtbench wandb sync",
    "vtbench wandb sync msca/table2 --scale mini --wandb-entity my-team --wandb-project ablations",
    "vtbench wandb sync laps/table1 --mode offline",
)


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
    add_wandb_tags(parser)
    add_wandb_artifacts(parser)
    add_changes(parser)
    parser.add_argument(
        "--with-variants", action="store_true", help="also what was measured of each row with --variant or --set"
    )


def call(args: argparse.Namespace) -> int:
    """Push, and print how many runs were."""
    rows, results = selected_rows(args), results_of(args)
    from vtbench.report.wandb.session import require_login
    from vtbench.report.wandb.sync import sync
    from vtbench.results.store import Store

    store = Store(results)
    if not results.is_dir() or not store.read():
        raise UsageError(f"{store.path}: has no results; `vtbench run` makes some, --results DIR names another folder")
    if args.with_variants:
        from vtbench.report.report import with_variants

        rows = with_variants(rows, store)
    target = wandb_target(args, args.mode)
    require_login(target, "give --mode offline and send the runs later")
    with _bar() as on_push:
        outcome = sync(rows, results, target, args.scale, again=args.again, on_push=on_push)
    for line in (*outcome.failed, *outcome.incomplete):
        print_message(line)
    if outcome.stale:
        print_message(f"{outcome.stale} results are of an older spec and stay here")
    pushed = f"{args.scale or 'every'} scale: {len(outcome.pushed)} runs pushed to {target.title}"
    incomplete = f", {len(outcome.incomplete)} incomplete" if outcome.incomplete else ""
    print(f"{pushed}, {outcome.already} already there, {len(outcome.failed)} failed{incomplete}")
    return 1 if outcome.failed or outcome.incomplete else 0


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr, if that is a terminal: what to call before each run."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda title, number, of: progress.update(task, description=title, completed=number - 1, total=of)
