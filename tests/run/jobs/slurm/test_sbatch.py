"""The options of --slurm-* and the scripts that are made of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from vtbench.errors import UsageError
from vtbench.run.jobs.slurm import sbatch
from vtbench.run.settings import Settings


def script(folder: Path, given: dict[str, str], jobs: int = 1, **more: object) -> list[str]:
    made = sbatch.executor(folder, Settings(), sbatch.options(given), **more)  # type: ignore[arg-type]
    return sbatch.script(made, jobs).splitlines()


def test_options_of_submitit_and_of_sbatch_are_passed_on(fake: FakeSlurm, tmp_path: Path) -> None:
    lines = script(tmp_path, {"partition": "gpu", "time": "1-00:00", "hint": "compute_bound", "exclusive": "true"})
    assert {"#SBATCH --partition=gpu", "#SBATCH --time=1-00:00", "#SBATCH --hint=compute_bound",
            "#SBATCH --exclusive"} <= set(lines)  # fmt: skip


def test_without_a_time_the_partition_decides(fake: FakeSlurm, tmp_path: Path) -> None:
    assert not [line for line in script(tmp_path, {}) if "--time" in line or "wckey" in line]


def test_a_job_is_requeued_and_warned_before_its_limit(fake: FakeSlurm, tmp_path: Path) -> None:
    assert {"#SBATCH --requeue", "#SBATCH --signal=USR2@120"} <= set(script(tmp_path, {}))
    assert "#SBATCH --signal=USR2@600" in script(tmp_path, {"signal-delay-s": "600"})


def test_several_jobs_are_an_array_of_which_so_many_run_at_once(fake: FakeSlurm, tmp_path: Path) -> None:
    lines = script(tmp_path, {}, 8, dependency="afterok:12_3", at_once=2)
    assert {"#SBATCH --array=0-7%2", "#SBATCH --dependency=afterok:12_3", "#SBATCH --kill-on-invalid-dep=yes"} <= set(
        lines
    )


def test_processors_are_passed_from_sbatch_to_srun(fake: FakeSlurm, tmp_path: Path) -> None:
    lines = script(tmp_path, {"cpus-per-task": "6"})
    assert "#SBATCH --cpus-per-task=6" in lines
    assert [line for line in lines if line.startswith("srun ") and "--cpus-per-task=6" in line]


def test_a_job_gets_a_processor_for_each_process_that_reads_videos(fake: FakeSlurm, tmp_path: Path) -> None:
    assert "#SBATCH --cpus-per-task=5" in script(tmp_path, {}, readers=4)
    assert "#SBATCH --cpus-per-task=2" in script(tmp_path, {"cpus-per-task": "2"}, readers=4)
    assert not [line for line in script(tmp_path, {"cpus-per-gpu": "8"}, readers=4) if "cpus-per-task" in line]


@pytest.mark.parametrize(
    ("given", "asks"),
    [({}, False), ({"gres": "shard:1"}, False), ({"gres": "gpu:a100:1"}, True), ({"gpus-per-node": "1"}, True)],
)
def test_it_is_known_whether_a_gpu_is_asked_for(given: dict[str, str], asks: bool) -> None:
    assert sbatch.asks_for_gpu(given) == asks


def test_a_script_ends_at_once_where_the_folder_is_not_seen(fake: FakeSlurm, tmp_path: Path) -> None:
    (check,) = [line for line in script(tmp_path / "jobs", {}) if line.startswith("test -e")]
    assert os.waitstatus_to_exitcode(os.system(check)) == sbatch.UNSEEN
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / sbatch.MARKER).touch()
    assert os.system(check) == 0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"partitoin": "gpu"}, "no option of sbatch '--slurm-partitoin'; did you mean '--slurm-partition'?"),
        ({"output": "x"}, "--slurm-output cannot be given: logs are in runs/slurm of the results"),
        ({"array": "0-3"}, "--slurm-array cannot be given: vtbench sets it"),
        ({"nodes": "2"}, "--slurm-nodes cannot be given: use --num-nodes and --devices"),
        ({"qos": ""}, "--slurm-qos: must have a value in one line; `true` for an option without one"),
        ({"qos": "a\n#SBATCH --uid=0"}, "--slurm-qos: must have a value in one line; `true` for an option without one"),
        ({"qos;rm": "a"}, "--slurm-qos;rm: must be the name of a long option of sbatch"),
        ({"signal-delay-s": "٣"}, "--slurm-signal-delay-s ٣: must be a whole number of seconds above 0"),
    ],
)
def test_an_option_that_cannot_be_passed_on_is_one_line(fake: FakeSlurm, given: dict[str, str], text: str) -> None:
    with pytest.raises(UsageError) as found:
        sbatch.options(given)
    assert str(found.value) == text


def test_without_sbatch_options_are_not_held_against_it(fake: FakeSlurm) -> None:
    fake.remove("sbatch")
    assert sbatch.options({"partitoin": "gpu"}) == {"partitoin": "gpu"}
    with pytest.raises(UsageError, match="needs SLURM's commands, and sbatch is not on the PATH"):
        sbatch.require()


def test_a_machine_that_is_no_part_of_a_cluster_is_one_line(fake: FakeSlurm) -> None:
    fake._program("sbatch", "#!/bin/sh\necho sbatch: fatal: no configuration source >&2\nexit 1\n")
    with pytest.raises(UsageError, match="sbatch does not work here: sbatch: fatal: no configuration source; is this"):
        sbatch.require()


def test_without_submitit_the_line_says_how_to_install_it(fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"needs submitit: pip install 'vtbench\[slurm\]'"):
        sbatch.options({})


def test_a_job_submits_as_if_it_were_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("SBATCH_ACCOUNT", "lab")
    with sbatch.outside_of_jobs():
        seen = {name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))}
    assert {"SLURM_CONF", "SBATCH_ACCOUNT"} <= seen and not {"SLURM_JOB_ID", "SLURM_NTASKS"} & seen
    assert os.environ["SLURM_NTASKS"] == "1"
