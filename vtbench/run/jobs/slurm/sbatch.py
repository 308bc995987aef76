"""The batch scripts that go to SLURM: submitit writes them, from the --slurm-* options and what every job needs."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vtbench.errors import UsageError, first_line, unknown
from vtbench.run.settings import Settings

if TYPE_CHECKING:
    from submitit import SlurmExecutor

SIGNAL_DELAY_S = 120
"""Seconds before the time limit at which a job gets the signal to write a checkpoint and queue again, unless
--slurm-signal-delay-s says otherwise."""

LARGEST_ARRAY = 1000
"""Elements of one array of jobs; SLURM takes 1001 unless it was set up otherwise."""

UNSEEN = 75
"""Exit code of a job whose node does not see the results folder."""

MARKER = ".here"
"""A file in the folder of jobs, by which a node finds out that it sees that folder and not one of its own."""

OURS = {
    **dict.fromkeys(("array", "dependency", "kill-on-invalid-dep", "requeue", "no-requeue"), "vtbench sets it"),
    **dict.fromkeys(("output", "error", "open-mode", "stderr-to-stdout"), "logs are in runs/slurm of the results"),
    **dict.fromkeys(("nodes", "ntasks", "ntasks-per-node", "tasks-per-node"), "use --num-nodes and --devices"),
    **dict.fromkeys(("wrap", "parsable", "wait", "chdir", "use-srun", "help", "usage", "version"), "of no use here"),
    "array-parallelism": "use --workers",
    "signal": "use --slurm-signal-delay-s SECONDS",
}
"""Options that --slurm- does not pass on, and why."""


def options(given: Mapping[str, str]) -> dict[str, str]:
    """The --slurm-* options as they are passed on, by name without --slurm-.

    Raises UsageError for a name that neither submitit nor sbatch has, as far as sbatch is there to be asked, and for
    one that vtbench sets itself.
    """
    names = {name.replace("_", "-") for name in _parameters()} - set(OURS)
    sbatch_answers = False
    with contextlib.suppress(UsageError):
        names |= _options_of_sbatch() - set(OURS)
        sbatch_answers = True
    found = {}
    for written, value in given.items():
        name = written.replace("_", "-")
        if name in OURS:
            raise UsageError(f"--slurm-{written} cannot be given: {OURS[name]}")
        if not re.fullmatch("[a-z][a-z0-9-]*", name):
            raise UsageError(f"--slurm-{written}: must be the name of a long option of sbatch")
        if name not in names and sbatch_answers:
            raise UsageError(unknown("option of sbatch", name, sorted(names), before="--slurm-"))
        if not value or "\n" in value:
            raise UsageError(f"--slurm-{written}: must have a value in one line; `true` for an option without one")
        found[name] = value
    if "signal-delay-s" in found and not re.fullmatch("[1-9][0-9]*", found["signal-delay-s"], re.ASCII):
        raise UsageError(f"--slurm-signal-delay-s {found['signal-delay-s']}: must be a whole number of seconds above 0")
    return found


def asks_for_gpu(given: Mapping[str, str]) -> bool:
    """Whether options give a job a GPU."""
    return any(name.startswith("gpus") or (name == "gres" and "gpu" in value) for name, value in given.items())


def require() -> None:
    """Raise UsageError where jobs cannot be submitted from: without sbatch, or without a cluster that answers."""
    for program in ("sbatch", "srun", "squeue", "scancel", "scontrol"):
        if not shutil.which(program):
            raise UsageError(
                f"--engine slurm needs SLURM's commands, and {program} is not on the PATH; run this on a login node of "
                "the cluster, or leave --engine out"
            )
    _options_of_sbatch()


def executor(
    folder: Path,
    settings: Settings,
    given: Mapping[str, str],
    *,
    readers: int = 0,
    dependency: str | None = None,
    at_once: int | None = None,
    one_task: bool = False,
) -> SlurmExecutor:
    """What submits jobs with these options. It needs no SLURM until it does.

    - folder: of logs, scripts and what is handed to the jobs
    - given: as `options` returned them
    - readers: processes that read videos, for each device; 0 where it reads them itself
    - dependency: as sbatch writes it (afterok:12_3); None for no dependency
    - at_once: the most jobs of an array that run side by side; None for no limit
    - one_task: whether a job runs in one process, however many tasks it has a place for
    """
    _require_submitit()
    from submitit import SlurmExecutor

    class Executor(SlurmExecutor):
        """For `vtbench plan` too, which only prints what would be sent."""

        @classmethod
        def affinity(cls) -> int:
            return 2

    values: dict[str, str | bool] = {name: True if value == "true" else value for name, value in given.items()}
    known = _parameters()
    own: dict[str, object] = dict(_tasks(settings, 0 if {"cpus-per-task", "cpus-per-gpu"} & set(values) else readers))
    own |= {name.replace("-", "_"): value for name, value in values.items() if name.replace("-", "_") in known}
    made = Executor(folder)
    made.update_parameters(
        **{
            "job_name": "vtbench",
            "time": None,
            "wckey": None,
            "signal_delay_s": SIGNAL_DELAY_S,
            "array_parallelism": at_once or LARGEST_ARRAY,
            "dependency": dependency,
            **own,
            "stderr_to_stdout": True,
            "setup": [_look_for(folder), *([own["setup"]] if "setup" in own else [])],
            "srun_args": [
                *(["--nodes=1", "--ntasks=1"] if one_task else []),
                # SLURM 22.05 and later no longer pass it from sbatch to srun.
                *([f"--cpus-per-task={own['cpus_per_task']}"] if "cpus_per_task" in own else []),
            ],
            "additional_parameters": {
                "requeue": True,
                **({"kill-on-invalid-dep": "yes"} if dependency else {}),
                **{name: value for name, value in values.items() if name.replace("-", "_") not in known},
            },
        }
    )
    return made


def script(made: SlurmExecutor, jobs: int) -> str:
    """The batch script of so many jobs, as it would be sent."""
    if jobs > 1:
        made.parameters["map_count"] = jobs
    return made._make_submission_file_text(made._submitit_command_str, "")


@contextlib.contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Hide from sbatch that it is called from inside another job: it would take its settings over. The user's own
    defaults (SBATCH_...) stay."""
    inside = [name for name in os.environ if re.match("SLURM_|SLURMD_|SRUN_|PMI", name) and name != "SLURM_CONF"]
    hidden = {name: os.environ.pop(name) for name in inside} if "SLURM_JOB_ID" in os.environ else {}
    try:
        yield
    finally:
        os.environ.update(hidden)


def refusal(error: Exception) -> str:
    """What sbatch said when it refused a job, in one line."""
    lines = [line.partition("error: ")[2] or line for line in str(error).splitlines() if line.strip()]
    return f"SLURM refuses the job: {'; '.join(lines)}" if lines else f"sbatch failed: {first_line(error)}"


def _tasks(settings: Settings, readers: int) -> dict[str, int]:
    """Where a training runs on one node, one task, which starts a process for each device itself; else one for each."""
    nodes, devices = settings.engine.num_nodes, settings.engine.devices
    tasks = devices if nodes > 1 else 1
    processors = {"cpus_per_task": (1 + readers) * devices // tasks} if readers else {}
    return {"nodes": nodes, "ntasks_per_node": tasks, **processors}


def _look_for(folder: Path) -> str:
    marker = shlex.quote(str(folder.absolute() / MARKER))
    return f"test -e {marker} || exit {UNSEEN}"


def _require_submitit() -> None:
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UsageError("--engine slurm needs submitit: pip install 'vtbench[slurm]'") from error


def _parameters() -> set[str]:
    """What submitit takes, besides what no option stands for, and what it warns of, which sbatch takes as well."""
    _require_submitit()
    from submitit.slurm.slurm import SlurmExecutor

    return SlurmExecutor._valid_parameters() - {
        "additional_parameters",
        "srun_args",
        "num_gpus",
        "teardown",
        "cpus_per_gpu",
    }


def _options_of_sbatch() -> set[str]:
    """Raises UsageError where sbatch is not there, or finds no cluster."""
    try:
        done = subprocess.run(["sbatch", "--help"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(f"sbatch: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise UsageError(f"sbatch does not work here: {said}; is this machine a part of the cluster?")
    return set(re.findall(r"--([a-z][a-z0-9-]*)", done.stdout))
