"""Jobs at SLURM: submitted in arrays, each after the one that it starts from, and waited for.

Each job's run folder has a slurm.json while its SLURM job is not accounted for. The same command finds it there, and
waits for the job that is queued already instead of submitting a second one. Whoever waits writes the results: the nodes
write run folders alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtbench import errors
from vtbench.errors import ResultsError, RunError, UsageError
from vtbench.files import utc_now
from vtbench.papers.roots import included
from vtbench.papers.spec.schema import Row
from vtbench.results import finished, folders
from vtbench.run.engine import Engine
from vtbench.run.jobs import progress, signals
from vtbench.run.jobs.plan import Job, has_weights
from vtbench.run.jobs.slurm import queue, sbatch
from vtbench.run.jobs.slurm.node import DryWork, Work
from vtbench.run.jobs.workers import JobResult, OnNotice, OnProgress, after_failure, no_notice_of, run_job
from vtbench.run.reporting import no_progress
from vtbench.run.settings import Settings
from vtbench.scales import SCALES, Scale

if TYPE_CHECKING:
    from submitit import SlurmExecutor

    from vtbench.run.jobs.dry import DryRun

SUBMITTED = "slurm.json"

POLL_S = 5.0
"""Seconds between two questions to SLURM."""

PATIENCE = 6
"""Polls for which a file of a job that ended may still be on its way through the file system."""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """slurm.json: which job of SLURM a training run is."""

    id: str
    """As squeue prints it: 12, or 12_3 in an array."""
    log: str
    title: str
    rows: tuple[str, ...]
    scale: str
    seed: int
    at: str
    """UTC: when it was submitted."""


@dataclass(frozen=True)
class Slurm:
    """An engine: called like `workers.run_jobs`, whose `workers` it does not need.

    - options: of sbatch, as `sbatch.options` returned them
    - at_once: the most jobs of an array that run side by side; None for no limit
    - detach: submit, collect what is finished, and do not wait for the rest
    - say: prints a line on all jobs together
    """

    options: Mapping[str, str]
    at_once: int | None = None
    detach: bool = False
    say: Callable[[str], None] = lambda text: None

    def __call__(
        self,
        jobs: Mapping[str, Job],
        settings: Settings,
        *,
        workers: int,
        on_progress: OnProgress,
        on_notice: OnNotice = no_notice_of,
    ) -> Generator[JobResult, None, None]:
        """Submit what is neither finished nor queued, and yield each result as soon as it is known. Closing the
        generator leaves the jobs in the queue.

        Raises UsageError, with nothing left in the queue, for what sbatch refuses.
        """
        settings = _reachable(settings)
        finished = [key for key, job in jobs.items() if is_finished(job, settings)]
        with folders.locked(folder_of(settings.results)):
            waiting = self._queued(jobs, finished, settings, on_notice)
            before = len(waiting)
            waiting |= self._submit(jobs, finished, waiting, settings)
        if waiting:
            if any(SCALES[job.training.scale].real for job in jobs.values()) and not sbatch.asks_for_gpu(self.options):
                self.say("no GPU is asked for; --slurm-gres gpu:1 gives each job one")
            many = f"{len(waiting)} training run{'' if len(waiting) == 1 else 's'}"
            new = f", {len(waiting) - before} of them submitted now" if before else ""
            stay = "" if self.detach else "; Ctrl-C leaves them there"
            self.say(f"{many} at SLURM{new}; `vtbench status` shows jobs, `vtbench cancel` ends them{stay}")
        for key in finished:
            yield self._collect(jobs[key], None, settings)
        if not self.detach:
            yield from self._wait(jobs, waiting, settings, on_progress, on_notice)

    def dry_run(
        self,
        rows: Sequence[Row],
        settings: Settings,
        scale: Scale,
        seed: int,
        limit: int,
        on_done: Callable[[DryRun], None],
    ) -> list[DryRun]:
        """`dry.dry_run` in one job, which is waited for and cancelled with Ctrl-C. Raises what it raises there."""
        from vtbench.run.jobs.dry import DryRun

        settings = _reachable(settings)
        folder = folder_of(settings.results)
        out = folder / f"dry-{uuid.uuid4().hex}.jsonl"
        work = DryWork(tuple(rows), settings, scale, seed, limit, included(), out)
        all_sent: list[Submitted] = []
        found: list[DryRun] = []
        ended = 0
        try:
            with signals.deferred():  # what is in the queue must be known here, to be cancelled
                all_sent += self._send([work], settings, None)
            (sent,) = all_sent
            self.say(f"SLURM job {sent.id}, log: {sent.log}")
            while True:
                time.sleep(POLL_S)
                known = queue.jobs()
                text = out.read_text(encoding="utf-8") if out.exists() else ""
                lines = text[: text.rfind("\n") + 1].splitlines()  # the node may be writing the last one
                for line in map(json.loads, lines[len(found) :]):
                    if "error" in line:
                        raise getattr(errors, line["kind"], RunError)(line["error"])
                    if "end" in line:
                        return found
                    found.append(DryRun(**line))
                    on_done(found[-1])
                if known is None:  # the controller restarts, or is busy
                    continue
                state = known.get(sent.id)
                ended += state is None or state.ended
                if ended > (PATIENCE if state and state.state == "COMPLETED" else 1):
                    raise RunError(queue.why_it_ended(sent.id, Path(sent.log), settings.results))
        finally:
            with signals.deferred():
                for sent in all_sent:
                    with contextlib.suppress(RunError):
                        queue.cancel([sent.id])
                    _forget(sent.id, folder)
                out.unlink(missing_ok=True)

    def scripts(self, jobs: Mapping[str, Job], settings: Settings) -> Iterator[str]:
        """What would be submitted for jobs, none of which is queued: each batch script, and before it what it is for.
        JOB1 stands for the id that the first one gets."""
        settings = _reachable(settings)
        ids: dict[str | None, str] = {}
        arrays = groups(jobs)
        for number, (start, keys) in enumerate(arrays, 1):
            after = f"afterok:{ids[start]}" if start else None
            for place, key in enumerate(keys):
                ids[key] = f"JOB{number}" + (f"_{place}" if len(keys) > 1 else "")
            made = self._executor(jobs[keys[0]].training.scale, settings, after)
            about = [f"#   {ids[key]} {key} {jobs[key].title}, seed {jobs[key].training.seed}" for key in keys]
            yield "\n".join([f"# sbatch {number} of {len(arrays)}:", *about, sbatch.script(made, len(keys))])

    def _queued(
        self, jobs: Mapping[str, Job], finished: Sequence[str], settings: Settings, on_notice: OnNotice
    ) -> dict[str, Submitted]:
        """The jobs that an earlier command submitted and that have not ended. Of those that ended without finishing
        their work, say why."""
        found = {key: sent for key in jobs if key not in finished and (sent := submitted(settings.results, key))}
        known = queue.jobs() if found else {}
        if known is None:
            raise RunError("squeue does not answer, so what is queued already is not known; try again")
        waiting = {}
        for key, sent in found.items():
            if sent.id in known and not known[sent.id].ended:
                waiting[key] = sent
            else:
                on_notice(key, f"{_reason(sent, key, settings)}; it is submitted again")
                _forget(sent.id, folder_of(settings.results), settings, key)
        return waiting

    def _submit(
        self, jobs: Mapping[str, Job], finished: Sequence[str], queued: Mapping[str, Submitted], settings: Settings
    ) -> dict[str, Submitted]:
        """Submit the others, in an array those that start from the same training, or from none. Where that is
        interrupted or fails, all are cancelled."""
        sent: dict[str, Submitted] = {}
        try:
            for start, keys in groups(jobs, [*finished, *queued]):
                after = {**queued, **sent}.get(start or "")
                dependency = f"afterok:{after.id}" if after else None
                works = [Work(jobs[key], settings, included()) for key in keys]
                with signals.deferred():  # what is in the queue must be known here, to be cancelled
                    sent |= zip(keys, self._send(works, settings, dependency), strict=True)
                for key in keys:
                    _note(sent[key], settings, key)
        except BaseException:
            with signals.deferred():
                self._take_back(sent, settings)
            raise
        return sent

    def _take_back(self, sent: Mapping[str, Submitted], settings: Settings) -> None:
        """Cancel whole arrays. What SLURM does not cancel stays noted, for the next command to find."""
        ids = dict.fromkeys(one.id.partition("_")[0] for one in sent.values())
        try:
            queue.cancel(ids)
        except RunError as error:
            self.say(f"{error}; still at SLURM: {', '.join(ids)}; `vtbench cancel` ends them, or scancel")
            for key, one in sent.items():
                with contextlib.suppress(ResultsError):
                    _note(one, settings, key)
            return
        for key, one in sent.items():
            _forget(one.id, folder_of(settings.results), settings, key)

    def _send(self, works: Sequence[Work | DryWork], settings: Settings, dependency: str | None) -> list[Submitted]:
        """Submit some works together."""
        folder = folder_of(settings.results)
        one_task = isinstance(works[0], DryWork)
        made = self._executor(_about(works[0])["scale"], settings, dependency, one_task=one_task)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / sbatch.MARKER).touch()
            with sbatch.outside_of_jobs(), contextlib.redirect_stderr(io.StringIO()):
                sent = made.submit_array(works)
        except OSError as error:
            raise folders.cannot_write(folder, error) from error
        except RuntimeError as error:  # submitit's, with what sbatch said
            raise UsageError(sbatch.refusal(error)) from error
        ids = [one.job_id for one in sent]
        logs = [str(folder / f"{id_}_0_log.out") for id_ in ids]
        return [
            Submitted(id=id_, log=log, at=utc_now(), **_about(work))
            for id_, log, work in zip(ids, logs, works, strict=True)
        ]

    def _executor(
        self, scale: Scale, settings: Settings, dependency: str | None, *, one_task: bool = False
    ) -> SlurmExecutor:
        return sbatch.executor(
            folder_of(settings.results),
            settings,
            self.options,
            readers=settings.num_workers if SCALES[scale].real else 0,
            dependency=dependency,
            at_once=self.at_once,
            one_task=one_task,
        )

    def _wait(
        self,
        jobs: Mapping[str, Job],
        waiting: dict[str, Submitted],
        settings: Settings,
        on_progress: OnProgress,
        on_notice: OnNotice,
    ) -> Generator[JobResult, None, None]:
        """Yield the result of each job when it has ended, and report how far the others are."""
        failed: set[str | None] = set()
        unseen: Counter[str] = Counter()
        shown: dict[str, progress.State] = {}
        while waiting:
            time.sleep(POLL_S)
            known = queue.jobs()
            if known is None:  # the controller restarts, or is busy
                continue
            for key, sent in list(waiting.items()):
                job, state = jobs[key], known.get(sent.id)
                if job.needs in failed:
                    with contextlib.suppress(RunError):  # SLURM has cancelled it already, or will
                        queue.cancel([sent.id])
                    result = after_failure(job)
                    _forget(sent.id, folder_of(settings.results), settings, key)
                elif state is not None and not state.ended:
                    at = progress.read(folders.training_folder(settings.results, key))
                    if at is not None and at.slurm == sent.id and at != (before := shown.get(key)):
                        shown[key] = at
                        for text in at.notices[len(before.notices) if before else 0 :]:
                            on_notice(key, text)
                        if at.total:
                            on_progress(key, at.phase, at.done, at.total, at.loss)
                    continue
                else:
                    unseen[key] += 1
                    enough = PATIENCE if state and state.state == "COMPLETED" else 1 if state else 2
                    if not is_finished(job, settings) and unseen[key] < enough:
                        continue
                    result = self._collect(job, sent, settings)
                del waiting[key]
                if result.error is not None:
                    failed.add(key)
                yield result

    def _collect(self, job: Job, sent: Submitted | None, settings: Settings) -> JobResult:
        """The result of a job that ended: what its run folders hold, or why there is none."""
        if is_finished(job, settings):
            # Reads, and checks, what is there: in this process, whatever devices it was measured on.
            result = run_job(job, dataclasses.replace(settings, engine=Engine()), included(), no_progress)
        else:
            assert sent is not None
            if said := _own_failure(sent, job.key, settings):
                result = JobResult(job.key, error=said.error, exit_code=said.exit_code)
            else:
                reason = f"{_reason(sent, job.key, settings)}; run again to resume"
                result = JobResult(job.key, error=reason, exit_code=1)
        if sent := sent or submitted(settings.results, job.key):
            _forget(sent.id, folder_of(settings.results), settings, job.key)
        return result


def folder_of(results: Path) -> Path:
    """Where scripts and logs of SLURM jobs are, and what is handed to them."""
    return results / "runs" / "slurm"


def submitted(results: Path, key: str) -> Submitted | None:
    """The SLURM job that a training run was submitted as; None if it was not, or is accounted for."""
    try:
        found = folders.read_json(folders.training_folder(results, key) / SUBMITTED)
        return Submitted(**{**found, "rows": tuple(found["rows"])})
    except (ResultsError, TypeError, KeyError):
        return None


def at_slurm(results: Path, keys: Iterable[str]) -> dict[str, str]:
    """The training runs whose job of SLURM waits or runs, as far as is known; of each, in one line, what to do before
    its run folder may be renamed: the folder says which job it is."""
    found = {key: sent for key in keys if (sent := submitted(results, key))}
    known = queue.jobs() if found else {}
    lines = {}
    for key, sent in found.items():
        folder = folders.training_folder(results, key)
        if known is None:
            lines[key] = (
                f"{folder}: was submitted as SLURM job {sent.id}, and squeue does not answer; try again, or remove "
                f"{SUBMITTED} there if SLURM has no such job"
            )
        elif (job := known.get(sent.id)) and not job.ended:
            row = sent.rows[0] if sent.rows else "--all"
            lines[key] = (
                f"{folder}: SLURM job {sent.id} of an earlier command is {job.state.lower()}; wait until it is done, "
                f"or end it with `vtbench cancel {row} --results {results}`, and run again"
            )
    return lines


def is_finished(job: Job, settings: Settings) -> bool:
    """Whether the training and all tests of a job are done."""
    tests = (folders.evaluation_folder(settings.results, key) for key in job.evaluations)
    return has_weights(job, settings) and all(finished.is_done(folder) for folder in tests)


def groups(jobs: Mapping[str, Job], without: Sequence[str] = ()) -> list[tuple[str | None, list[str]]]:
    """The arrays of jobs that are submitted, each after the one that holds what it starts from: the key of what all of
    them start from (None where that is finished or nothing), and their keys."""
    found: dict[tuple[str | None, int], list[str]] = {}
    for key, job in jobs.items():
        if key not in without:
            start = job.needs if job.needs in jobs else None
            part = 0
            while len(found.setdefault((start, part), [])) == sbatch.LARGEST_ARRAY:
                part += 1
            found[start, part].append(key)
    return [(start, keys) for (start, _), keys in found.items()]


def _reachable(settings: Settings) -> Settings:
    """With a results folder that is the same from wherever a node looks."""
    return dataclasses.replace(settings, results=settings.results.absolute())


def _about(work: Work | DryWork) -> dict[str, Any]:
    if isinstance(work, DryWork):
        return {"title": "dry run", "rows": (), "scale": work.scale, "seed": work.seed}
    job = work.job
    return {"title": job.title, "rows": job.rows, "scale": job.training.scale, "seed": job.training.seed}


def _own_failure(sent: Submitted, key: str, settings: Settings) -> progress.State | None:
    """What a job itself said of its failure, if it did."""
    said = progress.read(folders.training_folder(settings.results, key))
    return said if said is not None and said.slurm == sent.id and said.error is not None else None


def _reason(sent: Submitted, key: str, settings: Settings) -> str:
    """Why a job ended without finishing its work."""
    said = _own_failure(sent, key, settings)
    return said.error if said and said.error else queue.why_it_ended(sent.id, Path(sent.log), settings.results)


def _note(sent: Submitted, settings: Settings, key: str) -> None:
    folders.write_json(folders.training_folder(settings.results, key) / SUBMITTED, asdict(sent))


def _forget(id_: str, folder: Path, settings: Settings | None = None, key: str = "") -> None:
    """Remove what stands for a job that is accounted for; its log stays."""
    files = [folder / f"{id_}_submitted.pkl", *folder.glob(f"{id_}_*_result.pkl")]
    if settings is not None:
        files.append(folders.training_folder(settings.results, key) / SUBMITTED)
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
