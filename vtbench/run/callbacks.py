"""What Lightning calls while it trains and tests, besides epochs.py: the best weights, the scores of a test."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vtbench.errors import ResultsError, RunError, few
from vtbench.evaluation.multiview import ViewScores
from vtbench.methods import processes
from vtbench.results import finished, folders
from vtbench.run.devices.sharded import network_state
from vtbench.run.reporting import Notice, Progress, no_notice
from vtbench.run.resuming.stopping import StopSignals
from vtbench.weights import save_state, sha256_of

PART_EVERY = 60.0
"""Seconds of a test after which its scores are written down."""


class BestWeights(Checkpoint):
    """Keeps the weights of the epoch with the best `val_top1` on the test videos, the first of equals."""

    def __init__(self, folder: Path, data_fingerprint: str) -> None:
        """`data_fingerprint` is that of the test videos."""
        self.folder, self.data_fingerprint = folder, data_fingerprint
        self.epoch = 0
        """Counted from 1; 0 before the first validation."""
        self.top1 = -1.0
        self.sha256 = ""
        """Of the file at `path`."""
        self.failures: dict[str, str] = {}
        """Test videos that could not be read at the last validation -> why."""

    @property
    def path(self) -> Path:
        """The weights of the best epoch. Those of each best epoch have a file of their own until the checkpoint of the
        epoch is written: an interrupted run resumes from the one before."""
        return self.folder / folders.BEST.format(self.epoch)

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far, its top-1 (percent) and its file, as plain values."""
        return {
            "epoch": self.epoch,
            "top1": self.top1,
            "sha256": self.sha256,
            "failures": self.failures,
            "data_fingerprint": self.data_fingerprint,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`. Raises RunError for other test videos."""
        self.epoch, self.top1 = state_dict["epoch"], state_dict["top1"]
        self.sha256, self.failures = state_dict.get("sha256", ""), dict(state_dict.get("failures", {}))
        if state_dict["data_fingerprint"] != self.data_fingerprint:
            raise RunError(
                f"{self.folder}: its best epoch was chosen on other test videos (fingerprint "
                f"{state_dict['data_fingerprint']}, now {self.data_fingerprint}); bring them back, or remove the "
                "folder to start over"
            )

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Write the weights if `val_top1` is a new best. Raises RunError if no test video could be read."""
        # Before the checkpoint of this epoch: a training interrupted between the two repeats the epoch.
        self.failures = pl_module.failures
        if len(self.failures) == len(pl_module.tested):
            raise RunError(
                f"{self.folder}: no test video could be read, so no epoch can be chosen; the first: "
                f"{next(iter(self.failures.values()), 'there is none')}"
            )
        top1 = float(trainer.callback_metrics["val_top1"])
        if top1 > self.top1:
            self.epoch, self.top1 = trainer.current_epoch + 1, top1
            state = network_state(trainer)
            if processes.first():
                folders.replace_file(self.path, lambda half: save_state(state, half))
                self.sha256 = sha256_of(self.path)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Once the checkpoint is written, which is the callback before this one, remove the files of other epochs."""
        if processes.first():
            for path in self.folder.glob(folders.BEST.format("*")):
                if path != self.path:
                    path.unlink(missing_ok=True)


class ScoreParts(L.Callback):
    """Collects the scores of tested videos, and writes them in parts, from which an interrupted test resumes: every
    `PART_EVERY` seconds, and where the process is asked to stop, which ends it then. Videos that could not be read are
    in no part: they are tried again."""

    def __init__(
        self, folder: Path, tested: dict[str, Any], expected: int, progress: Progress, notice: Notice = no_notice
    ) -> None:
        """
        - tested: what is tested and how, in keys of config.json; parts of another test are dropped
        - expected: the number of videos to test, those in earlier parts included
        - notice: called where the parts of another test are dropped, and for a file of an earlier one that is damaged;
          it is set aside, and its videos tested again
        """
        self.folder, self.expected, self.progress = folder, expected, progress
        self.stop = StopSignals()
        self.scores = ViewScores()
        """Of all views, those in earlier parts included."""
        self.labels: dict[str, int] = {}
        """Of all videos tested, readable or not."""
        self.failures: dict[str, str] = {}
        """Videos that could not be read -> why."""
        self.notes: dict[str, str] = {}
        self.all_notes = True
        """Whether the notes are of all videos: parts of an older version come without."""
        self.distinct_views: dict[str, int] = {}
        """Of all videos that could be read: how many of their views differ."""
        self._unsaved = ViewScores()
        self._written: list[str] = []
        """Names of the parts that this process wrote."""
        if processes.first():
            self._take_earlier_parts(tested, notice)
        self.tested_before = processes.from_first(dict(self.labels))
        """Videos of earlier parts -> label; of several processes, all of them leave these out."""
        self._saved = time.monotonic()

    def _take_earlier_parts(self, tested: dict[str, str], notice: Notice) -> None:
        before = _json_of(self.folder / folders.CONFIG, notice)
        remarks = [_json_of(path, notice) for path in self._remarks()]
        other = [key for key, value in tested.items() if before is not None and before.get(key) != value]
        if before is None or other or None in remarks:
            if other and self._parts():
                notice(f"{self.folder}: scores of another {few(other)} are dropped, and their videos tested again")
            for path in (*self._parts(), *self._remarks()):
                path.unlink(missing_ok=True)
            remarks = []
        for path in self._parts():
            try:
                part, labels = ViewScores.load(path)
            except ResultsError:
                notice(finished.set_damaged_aside(path, "is no file of view scores"))
                continue
            self.scores.update(part)
            self.labels |= labels
        for found in remarks if self.labels else ():
            assert found is not None
            self.notes |= found.get("notes", {})
            self.distinct_views |= found.get("distinct_views", {})
        if self.labels:
            self.all_notes = bool(remarks) and all("notes" in (found or {}) for found in remarks)
            if self.all_notes:  # other processes are about to write over theirs
                self._write_remarks()

    def on_test_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Catch the signals."""
        self.stop.catch()

    def on_test_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Take a batch of scored videos; write a part if one is due."""
        for video in outputs["videos"]:
            self.labels[video["video_id"]] = video["label"]
            if "error" in video:
                self.failures[video["video_id"]] = video["error"]
            if "note" in video:
                self.notes[video["video_id"]] = video["note"]
            if "distinct_views" in video:
                self.distinct_views[video["video_id"]] = video["distinct_views"]
            for view, scores in enumerate(video.get("views", ())):
                self._unsaved.add(video["video_id"], view, scores)
        if self.stop.received or time.monotonic() - self._saved >= PART_EVERY:
            self._write_part()
        done = len(self.tested_before) + (len(self.labels) - len(self.tested_before)) * processes.number()
        self.progress("test", min(done, self.expected), self.expected, None)
        if self.stop.received:
            raise SIGTERMException

    def _write_part(self) -> None:
        labels = {name: self.labels[name] for name in self._unsaved.video_ids}
        mine = f"{this}-" if (this := processes.this()) else ""
        self._write_remarks()
        parts = self.folder.glob(folders.SCORES_PART.format(f"{mine}[0-9][0-9][0-9][0-9]"))
        last = max((int(path.stem.rpartition("-")[2]) for path in parts), default=-1)
        self._written.append(folders.SCORES_PART.format(f"{mine}{last + 1:04d}"))
        folders.replace_file(self.folder / self._written[-1], lambda half: self._unsaved.save(half, labels=labels))
        self._merge()
        self._saved = time.monotonic()

    def _write_remarks(self) -> None:
        this = processes.this()
        remarks = {"notes": self.notes, "distinct_views": self.distinct_views}
        folders.write_json(self.folder / folders.NOTES_PART.format(f"-{this}" if this else ""), remarks)

    def gather(self, video_ids: Sequence[str]) -> None:
        """Where several processes tested: have in the first one what all of them found, in the order of `video_ids`,
        which names every video. Raises RunError for a view that two of them scored."""
        if processes.number() == 1:
            return
        everywhere = processes.of_all((self._written, self.labels, self.failures, self.notes, self.distinct_views))
        if not processes.first():
            return
        for written, labels, failures, notes, distinct_views in everywhere[1:]:
            for name in written:
                self.scores.update(ViewScores.load(self.folder / name)[0])
            self.labels |= labels
            self.failures |= failures
            self.notes |= notes
            self.distinct_views |= distinct_views
        self.scores.sort(video_ids)
        self.labels = {name: self.labels[name] for name in dict.fromkeys(video_ids) if name in self.labels}

    def on_test_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Take the scores that no part holds yet; of several processes, the first takes them from a file."""
        if processes.first():
            self._merge()
        elif self._unsaved.video_ids:
            self._write_part()

    def _merge(self) -> None:
        self.scores.update(self._unsaved)
        self._unsaved = ViewScores()

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob(folders.SCORES_PART.format("*")))

    def _remarks(self) -> list[Path]:
        return sorted(self.folder.glob(folders.NOTES_PART.format("*")))


def _json_of(path: Path, notice: Notice) -> dict[str, Any] | None:
    """What a file of an earlier test holds, nothing if there is none; None for a damaged one, which is set aside."""
    if not path.exists():
        return {}
    try:
        content = folders.read_json(path)
    except ResultsError:
        content = None
    if isinstance(content, dict):
        return content
    notice(finished.set_damaged_aside(path, "is damaged"))
    return None
