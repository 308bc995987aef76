"""How an engine is recorded, and what torchrun and srun say of it."""

from __future__ import annotations

import pytest

from vtbench.cli import main
from vtbench.errors import UsageError
from vtbench.run.engine import Engine, from_launcher, launched, text

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "gpu03", "MASTER_PORT": "29500",
}  # fmt: skip
SRUN = {
    "SLURM_JOB_ID": "70001", "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "gpu[03-04,09]",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever started the tests."""
    for name in (*TORCHRUN, *SRUN):
        monkeypatch.delenv(name, raising=False)


def started_with(patch: pytest.MonkeyPatch, env: dict[str, str], **changed: str) -> None:
    for name, value in {**env, **changed}.items():
        patch.setenv(name, value)


def test_one_process_as_the_recipe_says_is_an_empty_cell() -> None:
    assert Engine().differences(training=True) == {}
    assert text({}, {}) is None
    assert text(None, None) is None


def test_what_a_test_shares_with_its_training_is_said_once() -> None:
    engine = Engine(devices=2, precision="bf16-mixed", compile=True, accumulate=4, grad_checkpointing=True)
    trained, tested = (engine.differences(training=training) for training in (True, False))
    said = "devices=2;strategy=ddp;precision=bf16-mixed;compile=true;accumulate=4;grad_checkpointing=true"
    assert text(trained, tested) == said
    assert text(trained, {}) == f"{said};test_devices=1;test_strategy=auto;test_precision=32-true;test_compile=false"
    assert text({"batch_norm": "per process", "strategy": "ddp", "devices": 2}, trained).startswith(
        "devices=2;strategy=ddp;batch_norm=per process;"
    )
    assert text(None, tested) == "test_devices=2;test_strategy=ddp;test_precision=bf16-mixed;test_compile=true"


def test_what_a_test_computes_in_anyway_is_no_difference() -> None:
    """Of a training it may be one, as the recipe may say bf16-mixed."""
    engine = Engine(precision="32-true", matmul_precision="highest")
    assert engine.differences(training=False) == {}
    assert engine.differences(training=True) == {"precision": "32-true"}
    assert text({"precision": "32-true"}, {}) == "precision=32-true"
    assert text({}, {"precision": "32-true"}) is None, "as older versions wrote it"
    assert text({}, {"precision": "bf16-mixed"}) == "test_precision=bf16-mixed", "of a recipe that says bf16-mixed"
    assert text({"matmul_precision": "high"}, {}) == "matmul_precision=high;test_matmul_precision=highest"


def test_torchrun_says_how_many_devices_and_machines_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    started_with(monkeypatch, TORCHRUN)
    found = launched()
    assert found is not None
    assert (found.by, found.rank, found.size, found.address, found.port) == ("torchrun", 5, 8, "gpu03", 29500)
    engine = Engine(precision="bf16-mixed")
    assert from_launcher(engine) == Engine(devices=4, num_nodes=2, precision="bf16-mixed")
    assert from_launcher(Engine(devices=4, num_nodes=2)) == Engine(devices=4, num_nodes=2)
    message = r"^--devices 8 --num-nodes 2: torchrun started 4 processes on each of 2 machines; leave both options out"
    with pytest.raises(UsageError, match=message):
        from_launcher(Engine(devices=8))


def test_srun_says_it_too_and_a_batch_script_or_one_task_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    started_with(monkeypatch, SRUN)
    found = launched()
    assert found is not None
    assert (found.by, found.rank, found.size, found.local_rank, found.local_size) == ("srun", 3, 4, 1, 2)
    assert found.address == "gpu03"
    assert from_launcher(Engine()) == Engine(devices=2, num_nodes=2)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    with pytest.raises(UsageError, match="srun started 3 processes on 2 machines; start as many on each"):
        launched()
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert launched() is None
    monkeypatch.delenv("SLURM_STEP_ID")
    assert launched() is None


@pytest.mark.parametrize(
    ("nodes", "first"), [("n1", "n1"), ("n1,n2", "n1"), ("gpu[03-05,09],login", "gpu03"), ("a,b[1-2]", "a")]
)
def test_the_first_machine_of_a_list_is_where_all_meet(nodes: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started_with(monkeypatch, SRUN, SLURM_STEP_NODELIST=nodes)
    found = launched()
    assert found is not None
    assert found.address == first


def test_several_machines_need_a_launcher() -> None:
    with pytest.raises(UsageError, match=r"^--num-nodes 2 needs a process on every machine: .* torchrun or srun"):
        from_launcher(Engine(num_nodes=2))


@pytest.mark.parametrize("launcher", [TORCHRUN, SRUN])
def test_a_wrong_command_is_one_line_on_each_machine(
    launcher: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    local = "LOCAL_RANK" if launcher is TORCHRUN else "SLURM_LOCALID"
    for number, lines in (("0", ["vtbench: no paper 'nope'; known: laps, mmvit, msca, pst"]), ("1", [])):
        for name, value in {**launcher, local: number}.items():
            monkeypatch.setenv(name, value)
        assert main(["run", "nope"]) == 2
        assert capsys.readouterr().err.splitlines() == lines
