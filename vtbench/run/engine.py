"""How a training and its tests are spread over devices, and in which precision they compute: the options of Lightning's
Trainer that are the machine's and not the recipe's."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vtbench.errors import UsageError

Strategy = Literal["auto", "ddp", "fsdp", "deepspeed"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"]
MatmulPrecision = Literal["highest", "high", "medium"]

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MATMUL_PRECISIONS: tuple[MatmulPrecision, ...] = get_args(MatmulPrecision)


TEST_PRECISION: Precision = "32-true"
"""Of a test, unless another one is given."""


@dataclass(frozen=True)
class Engine:
    """The defaults are one process as the recipe says."""

    devices: int = 1
    """Of this machine, a process each; GPUs, or on a CPU processes."""
    num_nodes: int = 1
    """Machines with as many devices each; more than one needs torchrun or srun."""
    strategy: Strategy = "auto"
    """How Lightning spreads a training over devices; auto is ddp where there are several."""
    precision: Precision | None = None
    """Of training and test, in Lightning's words; None: the recipe's in training, 32-true in the test."""
    compile: bool = False
    """Whether torch.compile compiles the network."""
    accumulate: int | None = None
    """Forward passes per update; None: as many as the effective batch needs."""
    matmul_precision: MatmulPrecision | None = None
    """What torch.set_float32_matmul_precision is given; None: torch's default, highest."""
    benchmark: bool = False
    """Whether cuDNN tries its algorithms and takes the fastest."""
    grad_checkpointing: bool = False
    """Whether the blocks of the network are computed twice rather than kept in memory for the backward pass."""

    @property
    def processes(self) -> int:
        """Devices of all machines together."""
        return self.devices * self.num_nodes

    @property
    def resumes(self) -> bool:
        """Whether training runs write checkpoints: those of deepspeed are folders that its own devices alone can
        read."""
        return self.strategy != "deepspeed"

    def for_test(self) -> Engine:
        """That of a test, which needs nothing of what a strategy does for a backward pass."""
        return self if self.strategy in ("auto", "ddp") else dataclasses.replace(self, strategy="auto")

    def differences(self, *, training: bool) -> dict[str, Any]:
        """What is not one process as the recipe says, by name, as results record it; of a training or of a test."""
        recorded = dataclasses.asdict(self if training else self.for_test())
        if self.processes > 1 and recorded["strategy"] == "auto":
            recorded["strategy"] = "ddp"
        if not training:
            recorded = {name: recorded[name] for name in _OF_TEST}
        usual = dataclasses.asdict(Engine())
        if recorded["matmul_precision"] == "highest":
            recorded["matmul_precision"] = None
        if not training and recorded["precision"] == TEST_PRECISION:
            recorded["precision"] = None
        return {name: value for name, value in recorded.items() if value != usual[name]}


_OF_TEST = ("devices", "num_nodes", "strategy", "precision", "compile", "matmul_precision", "benchmark")
"""What concerns a test."""


def text(trained: Mapping[str, Any] | None, tested: Mapping[str, Any] | None) -> str | None:
    """The cell `engine` of results.csv, of what the done.json of a training and of its test say under that name:
    `devices=2;strategy=ddp`, with `test_` before what is different in the test; None where there is nothing to say."""
    trained, tested = trained or {}, tested or {}
    usual = {**dataclasses.asdict(Engine()), "precision": TEST_PRECISION, "matmul_precision": "highest"}
    order = [*usual, *sorted(trained)]  # done.json has its keys sorted
    parts = [f"{name}={_word(trained[name])}" for name in dict.fromkeys(order) if name in trained]
    for name in _OF_TEST:
        if (value := tested.get(name, usual[name])) != trained.get(name, usual[name]):
            parts.append(f"test_{name}={_word(value)}")
    return ";".join(parts) or None


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_launcher(engine: Engine) -> Engine:
    """The engine with the number of processes that torchrun or srun started, where one of them did. Raises UsageError
    where the options say otherwise, and for several machines without a launcher."""
    started = launched()
    if started is None:
        if engine.num_nodes > 1:
            raise UsageError(
                f"--num-nodes {engine.num_nodes} needs a process on every machine: start this command there with "
                "torchrun or srun (docs/devices.md)"
            )
        return engine
    here, nodes = started.local_size, started.size // started.local_size
    asked = (engine.devices if engine.devices > 1 else here, engine.num_nodes if engine.num_nodes > 1 else nodes)
    if asked != (here, nodes):
        raise UsageError(
            f"--devices {asked[0]} --num-nodes {asked[1]}: {started.by} started {here} processes on each of {nodes} "
            "machines; leave both options out"
        )
    return dataclasses.replace(engine, devices=here, num_nodes=nodes)


@dataclass(frozen=True)
class Place:
    """Which process of how many one is, and where they meet."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int

    def environment(self) -> dict[str, str]:
        """What Lightning and torch.distributed look for."""
        values = {
            "RANK": self.rank,
            "WORLD_SIZE": self.size,
            "LOCAL_RANK": self.local_rank,
            "LOCAL_WORLD_SIZE": self.local_size,
            "GROUP_RANK": self.rank // self.local_size,
            "MASTER_ADDR": self.address,
            "MASTER_PORT": self.port,
        }
        return {name: str(value) for name, value in values.items()}


@dataclass(frozen=True)
class Launched(Place):
    """This process as one of several that torchrun or srun started."""

    by: str


def launched() -> Launched | None:
    """This process as one that torchrun or srun started with others; None where nobody did. Raises UsageError where
    srun started different numbers on the machines."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env and int(env.get("WORLD_SIZE", 1)) > 1:
        return Launched(
            by="torchrun",
            rank=int(env["RANK"]),
            size=int(env["WORLD_SIZE"]),
            local_rank=int(env["LOCAL_RANK"]),
            local_size=int(env["LOCAL_WORLD_SIZE"]),
            address=env["MASTER_ADDR"],
            port=int(env["MASTER_PORT"]),
        )
    # In a batch script SLURM_NTASKS is the job's; SLURM_STEP_NUM_TASKS is there, and this, only within srun.
    if "SLURM_STEP_ID" in env and "SLURM_PROCID" in env and int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        size, nodes = int(env["SLURM_STEP_NUM_TASKS"]), int(env.get("SLURM_STEP_NUM_NODES", 1))
        if size % nodes:
            raise UsageError(f"srun started {size} processes on {nodes} machines; start as many on each")
        return Launched(
            by="srun",
            rank=int(env["SLURM_PROCID"]),
            size=size,
            local_rank=int(env["SLURM_LOCALID"]),
            local_size=size // nodes,
            address=_first_host(env.get("SLURM_STEP_NODELIST", "localhost")),
            port=15000 + int(env["SLURM_JOB_ID"]) % 20000,
        )
    return None


def _first_host(nodes: str) -> str:
    """The first name of a list such as `gpu[03-05,09],login`."""
    name, bracket, inside = nodes.partition("[")
    if not bracket or "," in name:
        return nodes.partition(",")[0]
    number = inside.partition("]")[0].partition(",")[0].partition("-")[0]
    return name + number
