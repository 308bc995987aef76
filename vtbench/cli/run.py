"""`vtbench run`: train and test what has no result yet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vtbench.cli.jobs.engine import add_engine, slurm_of
from vtbench.cli.jobs.machine import add_checkpoints, add_machine, add_training, add_workers
from vtbench.cli.messages import print_message
from vtbench.cli.options import (
    Parser,
    add_changes,
    add_folders,
    add_init,
    add_scale,
    add_seeds,
    add_selectors,
    add_wandb_artifacts,
    add_wandb_place,
    add_wandb_tags,
    one_of,
    positive,
    selected_rows,
    settings_of,
)
from vtbench.errors import UsageError, printable

if TYPE_CHECKING:
    from vtbench.papers import Row
    from vtbench.run.jobs.slurm.engine import Slurm
    from vtbench.run.jobs.workers import RunJobs
    from vtbench.run.settings import Settings

SUMMARY = "Train and test what has no result yet; resumes if interrupted"
EXAMPLES = (
    "vtbench run msca/table2 --seeds 0,1,2",
    "vtbench run all --scale smoke",
    "vtbench run msca/table2 --wandb online --wandb-project ablations",
    "vtbench run pst/table3@sthv2 --scale paper --data sthv2=/datasets/something-v2 --limit 8",
    "vtbench run laps/table1 --scale paper --engine slurm --slurm-time 24:00:00 --slurm-gres gpu:1",
)


def options(parser: Parser) -> None:
    """SEL, --scale, --seeds, folders, machine, checkpoints, --again, --test-again, --workers, --engine, --wandb,
    --logger."""
    add_selectors(parser, "without, a terminal is asked")
    add_scale(parser, "mini")
    parser.set_defaults(scale=None)  # a config of --spec has its own
    add_seeds(parser)
    add_folders(parser)
    add_machine(parser)
    add_training(parser)
    add_checkpoints(parser)
    add_changes(parser)
    add_init(parser)
    parser.add_argument(
        "--spec",
        metavar="FILE",
        help="a config as `vtbench show ROW --resolved` prints it, edited or not, in place of SEL, --scale and --set",
    )
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="a dry run: one epoch on N videos, a test on N, all else as the recipe has it; shows seconds, memory and "
        "loss, and writes no result",
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--again", action="store_true", help="train and test even if results exist; keeps the old ones")
    again.add_argument("--test-again", action="store_true", help="test even if results exist, with the same weights")
    add_workers(parser)
    add_engine(parser)
    parser.add_argument(
        "--detach",
        action="store_true",
        help="with --engine slurm: write what is finished, submit the others, and do not wait",
    )
    parser.add_argument(
        "--wandb",
        **one_of("mode", ("off", "offline", "online")),
        default="off",
        help="log training runs and results to Weights & Biases; default: off",
    )
    add_wandb_place(parser)
    add_wandb_tags(parser)
    add_wandb_artifacts(parser)
    parser.add_argument(
        "--logger",
        action="append",
        default=[],
        metavar="NAME",
        help="log training runs elsewhere: csv, tensorboard, mlflow, wandb, or a Lightning logger as module:Class; may "
        "be repeated",
    )
    parser.add_argument(
        "--log-every",
        type=positive,
        metavar="N",
        help="steps of the optimiser between two points that a training run logs; default: 10",
    )


def call(args: argparse.Namespace) -> int:
    """Run, show progress on stderr, and print how many results were written."""
    slurm = slurm_of(args)
    rows, settings = _rows(args), settings_of(args)
    if not (args.selectors or args.spec or _everything_is_meant(rows, settings, args)):
        print_message("nothing was run")
        return 0
    from vtbench.run.engine import launched

    started = launched()
    if args.limit is not None:
        if started:
            raise UsageError(f"--limit tries one device; start it without {started.by}")
        return _dry(args, rows, settings, slurm)
    if started is None:
        return _run(args, rows, settings, slurm)
    if slurm:
        raise UsageError(f"--engine slurm sends the jobs itself; start it without {started.by}")
    from vtbench.run.jobs.together import Together

    together = Together(started)
    with together.joined():
        if started.rank == 0:
            return _run(args, rows, settings, together.run_jobs)
        together.follow(settings)
    return 0


def _run(args: argparse.Namespace, rows: list[Row], settings: Settings, engine: RunJobs | None = None) -> int:
    from vtbench.cli.jobs.display import TerminalDisplay
    from vtbench.run.jobs import launch

    at_slurm = args.engine == "slurm"
    try:
        outcome = launch.run(
            rows,
            settings,
            args.scale,
            args.seeds,
            again=args.again,
            test_again=args.test_again,
            workers=args.workers,
            display=TerminalDisplay(),
            engine=engine,
            here=not at_slurm,
        )
    except KeyboardInterrupt:
        if not at_slurm:
            raise
        print_message("interrupted; the jobs stay at SLURM: run the same command again to wait for them")
        return 1
    for failure in outcome.failed:
        print_message(f"{failure.title}: {failure.reason}")
    for one in outcome.unlogged:
        remedy = "`vtbench wandb sync` or the next run with --wandb logs it"
        print_message(f"{one.title}: the result is written, but not logged: {one.reason}; {remedy}")
    written = f"{len(outcome.written)} results written to {settings.results / 'results.csv'}"
    done = f"{args.scale} scale: {written}, {outcome.already} already there, {len(outcome.failed)} failed"
    print(printable(done))
    if outcome.logged:
        runs = "1 run" if outcome.logged == 1 else f"{outcome.logged} runs"
        print_message(f"{runs} of results that were there already: on W&B now")
    return max((failure.exit_code for failure in (*outcome.failed, *outcome.unlogged)), default=0)


def _everything_is_meant(rows: list[Row], settings: Settings, args: argparse.Namespace) -> bool:
    """Whether the user answers yes to running every row. Raises UsageError where nobody can be asked."""
    from vtbench.run.jobs.plan import plan, summary

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"run needs a selector: which rows; `all` is every row, {len(rows)} of them")
    for line in summary(plan(rows, settings, args.scale, args.seeds), args.scale):
        print_message(line)
    print(f"Run all {len(rows)} rows? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _dry(args: argparse.Namespace, rows: list[Row], settings: Settings, engine: Slurm | None) -> int:
    """The dry run of --limit, a line as each phase ends."""
    for option in ("again", "test_again"):
        if getattr(args, option):
            raise UsageError(f"--limit writes no result; leave out --{option.replace('_', '-')}")
    if args.wandb != "off" or args.logger:
        raise UsageError("--limit writes no result; leave out --wandb and --logger")
    if args.detach:
        raise UsageError("--limit shows what it finds; leave out --detach")
    if len(args.seeds) > 1:
        raise UsageError(f"--limit tries one seed, not {len(args.seeds)}")
    from vtbench.run.jobs.dry import DryRun, dry_run

    def show(found: DryRun) -> None:
        loss = "" if found.loss is None else f", loss {found.loss:.4g}"
        steps = "" if found.steps is None else f", {found.steps} step{'' if found.steps == 1 else 's'}"
        print(
            f"{found.title}: {found.phase}: {found.videos} videos, {found.clips} clips{steps}{loss}, "
            f"{found.seconds:.1f} s, {found.memory_gb:.2f} GB at most so far, {found.precision}",
            flush=True,
        )

    run = engine.dry_run if engine else dry_run
    done = run(rows, settings, args.scale, args.seeds[0], args.limit, show)
    count = settings.engine.processes
    on = f" on one of {count} devices, with its share of an update," if count > 1 else ""
    print(f"{len(done)} parts ran{on} at {args.scale} scale on {args.limit} videos each; no result was written")
    return 0


def _rows(args: argparse.Namespace) -> list[Row]:
    """The rows to run; of a config, its row, and its scale in `args`."""
    if args.spec is None:
        args.scale = args.scale or "mini"
        return selected_rows(args)
    if args.selectors or args.variant or args.set or args.init:
        raise UsageError("--spec says which row and what is changed; leave out SEL, --variant, --set and --init")
    from vtbench.papers.resolved import read_spec

    row, scale = read_spec(Path(args.spec))
    if args.scale not in (None, scale):
        raise UsageError(
            f"--spec {args.spec} is of {scale} scale; leave out --scale {args.scale}, or make a new one with "
            "`vtbench show --resolved`"
        )
    args.scale = scale
    return [row]
