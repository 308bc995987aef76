"""One evaluation, top to bottom: assemble, load the weights, test every view of every video, measure."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch

from vtbench.datasets.frames import SILENT
from vtbench.errors import RunError, WeightsError
from vtbench.evaluation import measure
from vtbench.evaluation.accuracy import coverage
from vtbench.files import utc_now
from vtbench.methods import processes
from vtbench.metrics import always_measured
from vtbench.papers.datasets import load_dataset
from vtbench.papers.trainings import Evaluation
from vtbench.results import finished, folders, provenance
from vtbench.run.assemble import Assembly, about_files, assemble_test, data_module
from vtbench.run.callbacks import ScoreParts
from vtbench.run.devices.batches import test_batches
from vtbench.run.devices.machine import on_gpu
from vtbench.run.reporting import START, Notice, Progress, no_notice, no_progress
from vtbench.run.session import environment, errors_in_one_line
from vtbench.run.settings import Settings
from vtbench.run.weights import refuse_other_weights
from vtbench.weights import load_weights, sha256_of


def evaluate(
    evaluation: Evaluation,
    settings: Settings,
    progress: Progress = no_progress,
    notice: Notice = no_notice,
    *,
    checkpoint: Path | None = None,
) -> dict[str, Any]:
    """Test a finished training, or the weights in `checkpoint`, by the evaluation's protocol; gives what was measured.

    The content of the run folder's done.json: metrics in percent against the videos expected, coverage, where it came
    from, and what became of every key of the weights (`loaded`). A video that cannot be read counts as a miss and is
    listed with its reason.
    """
    trained = folders.training_folder(settings.results, evaluation.training.key)
    sha256 = sha256_of(checkpoint) if checkpoint else ""
    key = given_weights_key(evaluation, sha256) if checkpoint else evaluation.key
    folder = folders.evaluation_folder(settings.results, key)
    if processes.from_first(finished.is_done(folder)):
        done = processes.from_first(finished.read_done(folder) if processes.first() else {})
        if checkpoint:
            # Given weights are tested on what is there now, not on what was there when they were tested before.
            training = evaluation.training
            data = data_module(training, settings, test_batches(training, settings.engine), evaluation=evaluation)
            same = data.fingerprint("test") == done["data_fingerprint"]
        else:
            same = (
                not finished.is_done(trained) or finished.read_done(trained)["weights_sha256"] == done["weights_sha256"]
            )
        if same:
            if processes.first():
                finished.remove_leftovers(folder)
            return done
        if processes.first():
            folders.set_aside(folder)
    parts = assemble_test(evaluation, settings)
    # Before there is a run folder: a file that does not fit leaves none behind.
    loaded = load_weights(parts.network, checkpoint or trained / folders.WEIGHTS, expect_head=True)
    if not checkpoint:
        refuse_other_weights(trained, loaded.sha256)
    elif loaded.sha256 != sha256:
        raise WeightsError(f"{checkpoint}: was changed while it was read; give the command again")
    origin = {
        "loaded": str(loaded),
        "evaluation_key": key,
        "training_key": f"file:{sha256[:12]}" if checkpoint else evaluation.training.key,
        "weights_sha256": loaded.sha256,
    }
    with folders.locked(folder, waiting=notice) if processes.first() else contextlib.nullcontext():
        for line in finished.clear_evaluation(folder) if processes.first() else ():
            notice(line)
        if not processes.from_first(finished.is_done(folder)):
            progress(START, 0, 0, None)
            with errors_in_one_line(folder):
                measure_network(parts, evaluation, folder, origin, progress, notice)
        return processes.from_first(finished.read_done(folder) if processes.first() else {})


def measure_network(
    parts: Assembly,
    evaluation: Evaluation,
    folder: Path,
    origin: dict[str, str],
    progress: Progress = no_progress,
    notice: Notice = no_notice,
) -> None:
    """Test the network of `parts` as it is, and write what was measured to done.json of `folder`, a run folder.

    `origin` goes into done.json. Parts of an earlier test count if they are of the same weights, as its
    `weights_sha256` says, and videos, on the same machine and by the same code and engine: a line names one of each.
    """
    method, data = parts.method, parts.data
    gpu = on_gpu(parts.training)
    engine, here = parts.settings.engine.differences(training=False), environment(gpu=gpu)
    tested = {
        "weights_sha256": origin["weights_sha256"],
        "data_fingerprint": data.fingerprint("test"),
        # A commit may change what no test goes through, and then `code` stays.
        **{name: here[name] for name in ("versions", "device", "threads")},
        "engine": engine,
        "code": provenance.code(),
    }
    expected = len(data.test_entries)
    parts_of_scores = ScoreParts(folder, tested, expected, progress, notice)
    if processes.first():
        folders.write_json(folder / folders.CONFIG, {**dataclasses.asdict(evaluation), **tested})
    data.skip(parts_of_scores.tested_before)
    started = time.monotonic()
    trainer = L.Trainer(callbacks=[parts_of_scores], logger=False, default_root_dir=folder, **parts.trainer)
    trainer.test(method, data, verbose=False)
    data.skip(())
    parts_of_scores.gather([entry.video_id for entry in data.test_entries])
    if not processes.first():
        return
    views = evaluation.eval.clips * evaluation.eval.crops
    labels_of, failures, remarks = parts_of_scores.labels, parts_of_scores.failures, parts_of_scores.notes
    if len(labels_of) < len({entry.video_id for entry in data.test_entries}):
        raise RunError(
            f"data module {load_dataset(evaluation.data.dataset).module}: {len(labels_of)} of {expected} test videos "
            "were tested; its test_dataloader must give every video of test_entries, readable or not"
        )
    if failures and len(failures) == len(labels_of):
        name, reason = next(iter(failures.items()))
        raise RunError(
            f"{data.videos.where}: none of {expected} test videos could be read, so nothing was measured; the first: "
            f"{name}: {reason}; check the folder given with --data {evaluation.data.dataset}=PATH"
        )
    tested_ids, scores = parts_of_scores.scores.video_scores(views, average=evaluation.eval.average)
    labels = torch.tensor([labels_of[name] for name in tested_ids], dtype=torch.int64)
    folders.replace_file(folder / folders.SCORES, lambda half: parts_of_scores.scores.save(half, labels=labels_of))
    names = dict.fromkeys((*always_measured(), *(evaluation.eval.metrics or ()), *evaluation.dataset.about.metrics))
    metrics = measure(scores, labels, labels_of.values(), names)
    of_decoded = measure(scores, labels, labels.tolist(), always_measured())
    silent = list(remarks.values()).count(SILENT) if data.has_audio and parts_of_scores.all_notes else None
    distinct = [parts_of_scores.distinct_views[name] for name in tested_ids if name in parts_of_scores.distinct_views]
    done = {
        **origin,
        "metrics": metrics,
        "metrics_decoded": of_decoded,
        "views": views,
        "distinct_views": sum(distinct) / len(distinct) if len(distinct) == len(tested_ids) else None,
        **coverage(expected, len(labels_of) - len(failures)),
        "videos_silent": silent,
        "failures": failures,
        "remarks": remarks,
        "wall_s": round(time.monotonic() - started, 3),
        "engine": engine,
        "data_fingerprint": tested["data_fingerprint"],
        **about_files(data, data.test_entries),
        "finished_at": utc_now(),
        **here,
    }
    folders.write_json(folder / folders.DONE, done)
    finished.remove_leftovers(folder)


def given_weights_key(evaluation: Evaluation, sha256: str) -> str:
    """The key of an evaluation of weights that no training of ours made: the protocol's key and the weights' hash."""
    return f"{evaluation.key}-{sha256[:12]}"
