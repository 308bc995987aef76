"""SLURM's programs, or what stands for them, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from vtbench.papers import select
from vtbench.run.jobs.plan import Job, all_measurements, graph
from vtbench.run.jobs.slurm import engine


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Nothing on the PATH but SLURM's programs, which only write down what they were given. No wait between polls."""
    made = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setattr(engine, "POLL_S", 0.0)
    return made


@pytest.fixture
def jobs() -> dict[str, Job]:
    """A pretraining and two trainings that start from it."""
    return graph(all_measurements(select(["msca/table2:vit", "msca/table2:tokenshift"]), "smoke", [0]))
