"""--engine and --slurm-...: what is refused before anything runs, and what `plan` says would be submitted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from vtbench.cli import main


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    made = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", str(made.bin))
    return made


RUN = ["run", "msca/table2:vit", "--scale", "smoke"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--engine", "pbs"], "no engine 'pbs'; known: local, slurm"),
        (["--slurm-time", "10"], "--slurm-time needs --engine slurm"),
        (["--detach"], "--detach needs --engine slurm"),
        (["--engine", "slurm", "--slurm-tme", "10"], "no option of sbatch '--slurm-tme'; did you mean '--slurm-time'?"),
        (["--engine", "slurm", "--slurm-qos"], "argument --slurm-qos: expected one argument"),
        (["--engine", "slurm", "--slurm-ntasks=4"], "--slurm-ntasks cannot be given: use --num-nodes and --devices"),
        (["--engine", "slurm", "--limit", "2", "--detach"], "--limit shows what it finds; leave out --detach"),
    ],
)
def test_what_an_engine_cannot_do_is_one_line(
    fake: FakeSlurm, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, *arguments]) == 2
    said = capsys.readouterr().err
    assert text in said and said.count("\n") == 1
    assert not Path("results").exists() and fake.scripts == []


def test_without_sbatch_nothing_is_begun(fake: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> None:
    fake.remove("sbatch")
    assert main([*RUN, "--engine", "slurm"]) == 2
    assert capsys.readouterr().err == (
        "vtbench: --engine slurm needs SLURM's commands, and sbatch is not on the PATH; run this on a login node of "
        "the cluster, or leave --engine out\n"
    )
    assert not Path("results").exists()


def test_a_partition_that_slurm_refuses_is_one_line(fake: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> None:
    fake.refuse("sbatch: error: invalid partition specified: nope\n")
    assert main([*RUN, "--engine", "slurm", "--slurm-partition", "nope"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "vtbench: SLURM refuses the job: invalid partition specified: nope"
    assert not list(Path("results").glob("runs/*/slurm.json"))


def test_detached_jobs_are_submitted_and_nothing_else(fake: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--engine", "slurm", "--slurm-partition", "gpu", "--slurm-reservation=lab", "--detach", "--workers", "1"]
    assert main([*RUN[:2], "msca/table2:tokenshift", *RUN[2:], *options]) == 0
    assert capsys.readouterr().out.endswith("0 results written to results/results.csv, 0 already there, 0 failed\n")
    first, others = fake.scripts
    assert "#SBATCH --partition=gpu\n" in first and "#SBATCH --reservation=lab\n" in first
    assert "#SBATCH --array=0-1%1\n" in others


def test_options_of_sbatch_may_stand_in_the_settings_file(fake: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> None:
    Path("vtbench.yaml").write_text("slurm: {partition: cpu, account: lab, mem_per_cpu: 2G}\n")
    assert main([*RUN, "--engine", "slurm", "--slurm-partition", "gpu", "--detach"]) == 0
    script = fake.scripts[0]
    assert "#SBATCH --partition=gpu\n" in script and "#SBATCH --account=lab\n" in script
    assert "#SBATCH --mem-per-cpu=2G\n" in script


def test_ctrl_c_leaves_the_jobs_in_the_queue(
    fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vtbench.run.jobs.slurm.engine.time.sleep", interrupt)
    assert main([*RUN, "--engine", "slurm"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "vtbench: interrupted; the jobs stay at SLURM: run the same command again to wait for them"
    assert fake.calls("scancel") == [] and list(Path("results").glob("runs/*/slurm.json"))


def test_plan_prints_what_would_be_submitted_without_slurm(fake: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> None:
    fake.remove("sbatch")
    rows = ["msca/table2:vit", "msca/table2:tokenshift", "--scale", "smoke", "--seeds", "0,1"]
    assert main(["plan", *rows, "--engine", "slurm", "--slurm-time", "12:00:00"]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("# sbatch")] == [
        "# sbatch 1 of 2:",
        "# sbatch 2 of 2:",
    ]
    assert re.findall("#SBATCH --(array|dependency)=(.*)", said) == [
        ("array", "0-3%4"),
        ("dependency", "afterok:JOB1"),
    ]
    assert said.count("#SBATCH --time=12:00:00") == 2
    assert "#   JOB2_1 " in said and "msca/table2:vit, seed 0" in said
    assert not Path("results").exists()


def test_plan_prints_the_script_that_run_would_send(fake: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> None:
    """With all options that it depends on."""
    options = ["--devices", "2", "--num-nodes", "2", "--data-workers", "3", "--workers", "1", "--batch-size", "1"]
    row = ["msca/table2:vit", "msca/table2:tokenshift", "--scale", "smoke", "--engine", "slurm", *options]
    assert main(["plan", *row]) == 0
    said = capsys.readouterr().out
    assert main(["run", *row, "--detach"]) == 0
    sent = [[line for line in text.splitlines() if line.startswith("#SBATCH")] for text in fake.scripts]
    planned = [line for line in said.splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --nodes=2" in planned and "#SBATCH --ntasks-per-node=2" in planned
    assert "#SBATCH --array=0-1%1" in planned
    changing = ("dependency", "output", "error")
    assert [line for line in planned if not any(name in line for name in changing)] == [
        line for lines in sent for line in lines if not any(name in line for name in changing)
    ]


@pytest.mark.parametrize("option", ["--devices", "--num-nodes", "--data-workers", "--workers", "--accumulate"])
def test_what_only_a_script_depends_on_is_refused_elsewhere(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "msca/table2:vit", option, "2"]) == 2
    assert capsys.readouterr().err == (
        f"vtbench: {option} needs --engine slurm, whose scripts depend on it; leave it out\n"
    )
