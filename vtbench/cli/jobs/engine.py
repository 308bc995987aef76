"""--engine and the options that go to SLURM, for `run` and `plan`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, one_of
from vtbench.errors import UsageError

if TYPE_CHECKING:
    from vtbench.run.jobs.slurm.engine import Slurm

PREFIX = "--slurm-"


def add_engine(parser: Parser) -> None:
    """--engine, --slurm-..., each of which goes to sbatch without its prefix."""
    parser.add_argument(
        "--engine",
        **one_of("engine", ("local", "slurm")),
        default="local",
        help="where training runs are executed: local, in processes of this machine, or slurm, as jobs; any long "
        "option of sbatch is given as --slurm-NAME VALUE (`true` for one without a value); default: local",
    )
    parser.set_defaults(slurm={})
    for name, metavar, text in (
        ("partition", "NAME", "partition of the jobs"),
        ("time", "TIME", "time limit of a job, as 12:00:00; a job that reaches it is queued again and resumes"),
        ("gres", "GRES", "devices of a job, as gpu:1"),
        ("mem", "SIZE", "memory of a job on each node, as 64G"),
        ("account", "NAME", "account to charge"),
    ):
        parser.add_argument(PREFIX + name, action=_ToSlurm, metavar=metavar, help=text)
    parser.families[PREFIX] = _ToSlurm


class _ToSlurm(argparse.Action):
    """Collect options in the namespace's `slurm`, by name without the prefix."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        namespace.slurm = {**namespace.slurm, str(option_string).removeprefix(PREFIX): str(values)}


def slurm_of(args: argparse.Namespace, *, submits: bool = True) -> Slurm | None:
    """The engine that the options name; None for the local one. Raises UsageError for options that it does not have,
    and where it `submits` but SLURM is not there."""
    detach = getattr(args, "detach", False)
    if args.engine == "local":
        if given := [*(PREFIX + name for name in args.slurm), *(["--detach"] if detach else [])]:
            raise UsageError(f"{given[0]} needs --engine slurm")
        return None
    from vtbench.run.jobs.slurm import sbatch
    from vtbench.run.jobs.slurm.engine import Slurm
    from vtbench.run.settings import slurm_options

    if submits:
        sbatch.require()
    named = {name.replace("_", "-"): value for name, value in {**slurm_options(), **args.slurm}.items()}
    return Slurm(sbatch.options(named), getattr(args, "workers", None), detach, print_message)
