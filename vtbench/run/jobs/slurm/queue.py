"""What SLURM says of jobs: squeue while it knows them, scontrol or sacct on how they ended; and scancel."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vtbench.errors import RunError, printable
from vtbench.run.jobs.slurm.sbatch import UNSEEN

AT_WORK = {"RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "SUSPENDED", "STOPPED"}
WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT",
           "RESIZING", "REVOKED"}  # fmt: skip
"""States of a job that has not ended, as squeue writes them; SPECIAL_EXIT and those on hold wait for `scontrol`."""

_ANSWER_S = 60.0
"""The longest that a command of SLURM may take to answer."""


@dataclass(frozen=True)
class Queued:
    """A job as squeue prints it."""

    state: str
    node: str = ""
    reason: str = ""
    """Why it waits."""
    since: str = ""
    """When it was started, or is expected to be; local time of the cluster."""

    @property
    def ended(self) -> bool:
        """Whether it neither runs nor waits."""
        return self.state not in AT_WORK | WAITING


def jobs() -> dict[str, Queued] | None:
    """The user's jobs that SLURM knows, also some minutes after they ended, by id (12, or 12_3 in an array); None
    where squeue does not answer."""
    said = _ask("squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%i|%T|%N|%r|%S")
    if said is None:
        return None
    lines = [line.strip().split("|") for line in said.splitlines()]
    return {id_: Queued(*printed) for id_, *printed in lines if len(printed) == 4}


def why_it_ended(job: str, log: Path, results: Path) -> str:
    """Why a job ended that had not finished its work, in one line."""
    state, code, signal, reason, node = _end_of(job)
    where = f"SLURM job {job}" + (f" on {node}" if node else "")
    if code == UNSEEN or (reason == "JobLaunchFailure" and not log.exists()):
        return f"{where} does not see {results}: give a folder that every node has under this path, with --results DIR"
    if state == "TIMEOUT":
        why = "ran into its time limit before it could write a checkpoint; give more --slurm-time or a longer "
        why += "--slurm-signal-delay-s"
    elif state == "OUT_OF_MEMORY":
        why = "needed more memory than SLURM gave it; give more --slurm-mem"
    elif state == "CANCELLED":
        why = "was cancelled"
    elif signal == 9 or code == 137:
        why = "was killed by signal 9; out of memory? give more --slurm-mem"
    elif signal:
        why = f"was killed by signal {signal}"
    elif state == "FAILED":
        why = f"ended with exit code {code}"
    else:
        why = f"ended as {state}" if state else "is no longer known to SLURM and has left no result"
    return f"{where} {why} (log: {log})"


def cancel(ids: Iterable[str]) -> None:
    """Cancel jobs, those that have ended excepted. Raises RunError with what SLURM says where it refuses."""
    wanted = list(ids)
    if wanted and (said := _run("scancel", "--quiet", *wanted)).returncode:
        raise RunError(f"scancel: {printable(said.stderr)}")


def requeue(job: str) -> None:
    """Have a running job end and wait in the queue again. Raises RunError with what SLURM says where it refuses."""
    if (said := _run("scontrol", "requeue", job)).returncode:
        raise RunError(f"scontrol requeue {job}: {printable(said.stderr)}")


def _end_of(job: str) -> tuple[str, int, int, str, str]:
    """State, exit code, signal, reason and node of a job that ended; of one that SLURM has forgotten, nothing."""
    if said := _ask("scontrol", "show", "job", "--oneliner", job):
        found = dict(re.findall(r"(\w+)=(\S*)", said))
        state, exit_, reason, node = (found.get(key, "") for key in ("JobState", "ExitCode", "Reason", "NodeList"))
    elif said := _ask("sacct", "-n", "-P", "-X", "-j", job, "-o", "State,ExitCode,NodeList"):
        state, exit_, node = (*said.splitlines()[-1].split("|"), "", "", "")[:3]
        reason = ""
    else:
        return "", 0, 0, "", ""
    code, _, signal = exit_.partition(":")
    node = "" if node in ("(null)", "None assigned") else node
    return state.split()[0].rstrip("+"), int(code or 0), int(signal or 0), reason, node


def _ask(*command: str) -> str | None:
    try:
        done = _run(*command)
    except OSError:
        return None
    return None if done.returncode else done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ANSWER_S)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {_ANSWER_S:g} s")
