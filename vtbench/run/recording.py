"""From what an evaluation measured to the line of results.csv of each row that asked for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vtbench.papers.releases import other_release
from vtbench.papers.trainings import Measurement, Training
from vtbench.results import finished, folders, provenance
from vtbench.results.record import COLUMNS, Record, metric_cells
from vtbench.run import engine
from vtbench.run.settings import Settings
from vtbench.scales import SCALES

LAST_EPOCH = "last epoch"
"""What a method says of its choice of weights where it makes none."""


def to_record(measurement: Measurement, measured: dict[str, Any], settings: Settings) -> Record:
    """The line of one row's measurement, from what `evaluate` returned and the training's run folder."""
    evaluation = measurement.evaluation
    training = evaluation.training
    trained = folders.training_folder(settings.results, training.key)
    ours = measured["training_key"] == training.key
    done = finished.read_done(trained) if ours else {}
    return Record(
        id=measurement.row_id,
        measurement=measurement.name,
        scale=training.scale,
        seed=training.seed,
        training_key=measured["training_key"],
        evaluation_key=measured["evaluation_key"],
        **metric_cells(measured["metrics"]),
        **_of_decoded(measured.get("metrics_decoded", {})),  # missing in evaluations older than the columns
        videos_expected=measured["videos_expected"],
        videos_decoded=measured["videos_decoded"],
        videos_failed=measured["videos_failed"],
        videos_silent=measured.get("videos_silent"),  # missing in evaluations older than the column
        views=measured["views"],
        distinct_views=measured.get("distinct_views"),
        train_top1=done.get("train_top1"),
        train_wall_s=done.get("wall_s"),
        eval_wall_s=measured["wall_s"],
        train_videos=done.get("videos"),
        train_missing=len(done["missing"]) if "missing" in done else None,
        train_unreadable=len(done["unreadable"]) if "unreadable" in done else None,
        epochs=done.get("epochs"),
        batch_size=done.get("batch_size"),
        accumulate=done.get("accumulate"),
        lr=done.get("lr"),
        init=_init_text(training, done) if ours else "given",
        selection=_selection_text(training, done) if ours else "unknown: given weights",
        data_fingerprint=measured["data_fingerprint"],
        train_fingerprint=done.get("data_fingerprint") if "missing" in done else None,
        data_files=_of_both(done.get("data_files"), measured.get("data_files")),
        data_encoding=_of_both(done.get("data_encoding"), measured.get("data_encoding")),
        weights_sha256=measured["weights_sha256"],
        commit=measured["commit"],
        dirty=measured["dirty"],
        root=provenance.outside(measurement.roots),
        variant=measurement.variant,
        device=measured["device"],
        threads=measured["threads"],
        engine=engine.text(done.get("engine"), measured.get("engine")),
        versions=measured["versions"],
        begun=done.get("begun"),
        finished_at=measured["finished_at"],
    )


def shared_record(record: Record, measurement: Measurement) -> Record:
    """The line of another measurement that asks for the evaluation that `record` is of."""
    root = provenance.outside(measurement.roots)
    return replace(record, id=measurement.row_id, measurement=measurement.name, root=root, variant=measurement.variant)


def _of_decoded(metrics: dict[str, float]) -> dict[str, Any]:
    """The metrics over the videos that could be read, of those that have a column."""
    columns = {f"{name}_decoded": value for name, value in metrics.items()}
    return {name: value for name, value in columns.items() if name in COLUMNS}


def _of_both(train: str | None, test: str | None) -> str | None:
    """What is to be said of the training and the test videos: once where it is the same."""
    if train == test or not (train and test):
        return train or test
    return f"train: {train}; test: {test}"


def _init_text(training: Training, done: dict[str, Any]) -> str:
    """`scratch`, `training:<key>` or the name of the weights, with the first 8 digits of the file's SHA-256. The same
    of the audio encoder's weights is appended if it has any. A file that is not the release of its name says so."""
    start = training.init
    if start.training:
        text = f"training:{start.training.key}@{done['init_sha256'][:8]}"
    else:
        text = _weights_text(start.weights, done["init_sha256"]) if start.weights else "scratch"
    encoder, audio = training.data.audio_encoder, done.get("audio_sha256")
    return f"{text};{_weights_text(encoder, audio)}" if encoder and audio else text


def _weights_text(name: str, sha256: str) -> str:
    if name.endswith(f"@sha256-{sha256[:8]}"):  # a file given in place of a row's training (--init)
        return name
    wanted = other_release(name, sha256)
    return f"{name}@{sha256[:8]}" + (f" (not {wanted})" if wanted else "")


def _selection_text(training: Training, done: dict[str, Any]) -> str:
    """What drove the choices behind the weights. At paper scale the recipe is the paper's own; what the other scale of
    real data changes was written down before anything was trained."""
    selection: str = done.get("selection", LAST_EPOCH)  # missing in training runs older than the key
    if SCALES[training.scale].real:
        return f"none: {selection}" if selection == LAST_EPOCH else selection
    return f"recipe of the small scales: {training.data.dataset} validation in sight; {selection}"
