"""Files of the user's through a row's network, by the row's test protocol: what is in a video, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L

from vtbench.datasets import VideoLists
from vtbench.datasets.compressed import DAMAGED_AUDIO
from vtbench.datasets.frames import SILENT
from vtbench.datasets.manifests import Entry
from vtbench.errors import WeightsError
from vtbench.papers.trainings import Measurement
from vtbench.results import folders
from vtbench.results.scores import BEST, ranked
from vtbench.run.assemble import assemble_test
from vtbench.run.session import errors_in_one_line
from vtbench.run.settings import Settings
from vtbench.weights import load_weights

NOTES = {
    SILENT: "has no audio track, which counts as silence",
    DAMAGED_AUDIO: "has damaged audio packets, which count as silence",
}
"""Notes of a frame source, as a sentence."""


@dataclass(frozen=True)
class Guess:
    """A class that a video may be of."""

    label: int
    score: float
    """0 to 1: as the row averages views, the softmax of mean logits or the mean of softmaxes."""


@dataclass(frozen=True)
class Prediction:
    """One file."""

    file: Path
    guesses: tuple[Guess, ...]
    """The five best classes, best first; none for a file that could not be read."""
    views: int
    note: str | None
    """What is to be said of a file that could be read, a missing audio track for example."""
    error: str | None
    """Why it could not be read."""


@dataclass(frozen=True)
class Predicted:
    """What became of all files, and of which weights."""

    videos: tuple[Prediction, ...]
    weights: Path
    weights_sha256: str
    loaded: str
    """What became of the keys of the weights."""


def predict(
    measurement: Measurement, files: Sequence[Path], settings: Settings, checkpoint: Path | None = None
) -> Predicted:
    """Classify video files, or folders of JPEG frames, each once, in the order given, by the test protocol of a row:
    clips, crops, resolution and average; from compressed video, and with audio, where the row reads these.

    - checkpoint: weights; by default those that the store has of the row's own training
    - settings: batch size, folder of results, weights of an audio encoder

    Clips that a protocol draws at random depend on the seed and on the path as it is given. A file that cannot be read
    stands in the result with its reason. Raises WeightsError where the weights are not there, or of another network.
    """
    evaluation = measurement.evaluation
    weights = checkpoint or folders.training_folder(settings.results, evaluation.training.key) / folders.WEIGHTS
    if not weights.is_file():
        remedy = (
            "check the path"
            if checkpoint
            else f"`vtbench run {measurement.row_id} --scale {measurement.scale} --seeds {measurement.seed} --again` "
            "trains the row, or give weights with --checkpoint FILE"
        )
        raise WeightsError(f"{weights}: not there; {remedy}")
    entries = [Entry(str(file), file, 0, "the command") for file in dict.fromkeys(files)]
    videos = VideoLists(num_classes=evaluation.dataset.num_classes, test=entries, name="the files given")
    with errors_in_one_line(None):
        parts = assemble_test(evaluation, settings, videos=videos)
        loaded = load_weights(parts.network, weights, expect_head=True)
        trainer = L.Trainer(logger=False, **parts.trainer)
        batches: Any = trainer.predict(parts.method, parts.data)
    scored = [video for batch in batches for video in batch]
    average = evaluation.eval.average
    made = [_prediction(file.file, video, average) for file, video in zip(entries, scored, strict=True)]
    return Predicted(tuple(made), weights, loaded.sha256, str(loaded))


def _prediction(file: Path, video: Any, average: str) -> Prediction:
    if "error" in video:
        return Prediction(file, (), 0, None, video["error"])
    order, shares = ranked(video["scores"].numpy()[None], average)
    note = video.get("note")
    guesses = tuple(Guess(label, float(shares[0, label])) for label in order[0, :BEST].tolist())
    return Prediction(file, guesses, len(video["views"]), NOTES.get(note, note), None)
