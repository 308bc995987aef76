"""One evaluation, top to bottom: build, load the weights, test every view of every video, measure."""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch

from vtbench.datasets.frames import SILENT
from vtbench.errors import RunError
from vtbench.evaluation import METRICS
from vtbench.evaluation.metrics import accuracy, coverage
from vtbench.methods.base import VideoClassifier
from vtbench.naming import guarded, load
from vtbench.papers.code.signatures import called
from vtbench.papers.datasets import load_dataset
from vtbench.papers.trainings import Evaluation
from vtbench.results import folders
from vtbench.run.callbacks import Progress, TestJournal, no_progress
from vtbench.run.data import data_module
from vtbench.run.network import build_network
from vtbench.run.session import ERROR, environment, errors_in_one_line, one_thread_below_paper_scale, quiet_trainer
from vtbench.run.settings import Settings
from vtbench.run.weights import audio_encoder
from vtbench.weights import load_weights, sha256_of


def evaluate(
    evaluation: Evaluation, settings: Settings, progress: Progress = no_progress, *, checkpoint: Path | None = None
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
    if folders.is_done(folder):
        done = dict(folders.read_json(folder / folders.DONE))
        if not checkpoint:
            return done
        # Given weights are tested on what is there now, not on what was there when they were tested before.
        data = data_module(evaluation.data, evaluation.training, settings, evaluation=evaluation)
        if data.fingerprint("test") == done["data_fingerprint"]:
            return done
        folders.set_aside(folder)
    network = build_network(evaluation.training)
    # Before there is a run folder: a file that does not fit leaves none behind.
    loaded = load_weights(network, checkpoint or trained / folders.WEIGHTS, expect_head=True)
    origin = {
        "loaded": str(loaded),
        "evaluation_key": key,
        "training_key": f"file:{sha256[:12]}" if checkpoint else evaluation.training.key,
        "weights_sha256": sha256 or folders.read_json(trained / folders.DONE)["weights_sha256"],
    }
    with folders.locked(folder):
        if not folders.is_done(folder):
            with errors_in_one_line(folder):
                _evaluate(evaluation, settings, progress, folder, network, origin)
        return dict(folders.read_json(folder / folders.DONE))


def _evaluate(
    evaluation: Evaluation,
    settings: Settings,
    progress: Progress,
    folder: Path,
    network: torch.nn.Module,
    origin: dict[str, str],
) -> None:
    training = evaluation.training
    one_thread_below_paper_scale(training)
    L.seed_everything(training.seed, workers=True, verbose=False)
    data = data_module(evaluation.data, training, settings, evaluation=evaluation)
    method = VideoClassifier(network, audio_encoder=audio_encoder(evaluation.data, settings))
    tested = {"weights_sha256": origin["weights_sha256"], "data_fingerprint": data.fingerprint("test")}
    journal = TestJournal(folder, tested, progress)
    folders.write_json(folder / folders.CONFIG, {**dataclasses.asdict(evaluation), **tested})
    data.skip(journal.labels)
    started = time.monotonic()
    trainer = L.Trainer(callbacks=[journal], logger=False, **quiet_trainer(training, folder))
    trainer.test(method, data, verbose=False)
    views = evaluation.eval.clips * evaluation.eval.crops
    expected = len(data.test_entries)
    view_scores, labels_of, remarks = journal.all(method)
    if len(labels_of) < len({entry.video_id for entry in data.test_entries}):
        raise RunError(
            f"data module {load_dataset(evaluation.data.dataset).module}: {len(labels_of)} of {expected} test videos "
            "were tested; its test_dataloader must give every video of test_entries, readable or not"
        )
    if method.failures and len(method.failures) == len(labels_of):
        name, reason = next(iter(method.failures.items()))
        raise RunError(
            f"{data.videos.where}: none of {expected} test videos could be read, so nothing was measured; the first: "
            f"{name}: {reason}; check the folder given with --data {evaluation.data.dataset}=PATH"
        )
    seen = coverage(expected, len(labels_of) - len(method.failures))
    names, scores = view_scores.video_scores(views, average=evaluation.eval.average)
    labels = torch.tensor([labels_of[name] for name in names], dtype=torch.int64)
    folders.replace_file(folder / folders.SCORES, lambda half: view_scores.save(half, labels=labels_of))
    metrics = accuracy(scores, labels, expected=expected)
    metrics |= _own_metrics(evaluation, scores, labels, list(labels_of.values()))
    done = {
        **origin,
        "metrics": metrics,
        "views": views,
        **seen,
        "videos_silent": list(remarks.values()).count(SILENT) if data.has_audio and journal.all_remarks else None,
        "failures": method.failures,
        "remarks": remarks,
        "wall_s": round(time.monotonic() - started, 3),
        "data_fingerprint": tested["data_fingerprint"],
        "finished_at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **environment(),
    }
    folders.write_json(folder / folders.DONE, done)
    journal.remove_parts()
    (folder / ERROR).unlink(missing_ok=True)


def _own_metrics(
    evaluation: Evaluation, scores: torch.Tensor, labels: torch.Tensor, expected_labels: list[int]
) -> dict[str, float]:
    """What `eval.metrics` asks for. Raises RunError for a metric that fails or gives no finite number."""
    measured = {}
    for name in evaluation.eval.metrics or ():
        with guarded(name, "metric", "repair it and give the same command again", RunError):
            value = float(load(name, METRICS, "metric")(scores, labels, expected_labels=expected_labels))
        if not math.isfinite(value):
            raise RunError(f"metric {name}: gave {value}, a finite number is wanted")
        measured[called(name)] = value
    return measured


def given_weights_key(evaluation: Evaluation, sha256: str) -> str:
    """The key of an evaluation of weights that no training of ours made: the protocol's key and the weights' hash."""
    return f"{evaluation.key}-{sha256[:12]}"
