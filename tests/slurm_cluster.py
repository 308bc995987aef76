"""A SLURM of one node or several on this machine, as root, from the distribution's packages (slurmctld, slurmd,
slurm-client, munge): no systemd, no cgroups, no accounting. Everything it writes is in one folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol", "scancel")

CONF = """\
ClusterName=vtbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
SlurmdParameters=config_overrides
OverTimeLimit=0
KillWait=20
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=1
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} State=UNKNOWN"


def lacking() -> str:
    """What a cluster cannot be brought up without, and this machine lacks; "" if it has all."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    return f"no {', '.join(missing)}" if missing else "not root" if os.getuid() else ""


@contextlib.contextmanager
def running(folder: Path, cpus: int, nodes: int = 1) -> Iterator[dict[str, str]]:
    """Bring it up, with so many processors on each node, as many as there may be; gives the variables by which its
    commands find it."""
    host = socket.gethostname().partition(".")[0]
    names = [host, *(f"{host}-{number}" for number in range(2, nodes + 1))]
    for name in ("state", *(f"spool-{name}" for name in names)):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))
    lines = [NODE.format(name=name, host=host, port=_free_port(), cpus=cpus) for name in names]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, host=host, ctld_port=_free_port(), nodes="\n".join(lines)))
    environment = {"SLURM_CONF": str(conf), "PATH": os.pathsep.join((os.environ["PATH"], "/usr/sbin"))}
    daemons = [
        ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
         f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"],
        ["slurmctld", "-D"],
        *(["slurmd", "-D", "-N", name] for name in names),
    ]  # fmt: skip
    started = []
    try:
        for number, command in enumerate(daemons):
            with (folder / f"{command[0]}-{number}.out").open("w") as out:
                started.append(subprocess.Popen(command, env=os.environ | environment, stdout=out, stderr=out))
            if number == 0:
                until(lambda: (folder / "munge.socket").exists(), 10, "munged made no socket")
        until(lambda: ask(environment, "sinfo", "-h", "-t", "idle", "-o", "%D").strip() == str(nodes), 30, "not idle")
        yield environment
    finally:
        if started:
            subprocess.run(["scancel", "--user=root"], env=os.environ | environment, check=False, capture_output=True)
        until_quiet(environment)
        for process in reversed(started):
            process.terminate()
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            process.kill()
            process.wait()


def ask(environment: dict[str, str], *command: str) -> str:
    """What a command of SLURM prints; "" where it fails."""
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout


def until(true: Callable[[], object], seconds: float, why: str) -> None:
    """Wait until something is true; AssertionError, with the reason, after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, why
        time.sleep(0.5)


def until_quiet(environment: dict[str, str]) -> None:
    """Wait until no job runs, for a short time."""
    with contextlib.suppress(AssertionError):
        until(lambda: not ask(environment, "squeue", "-h"), 30, "")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
