"""Commands that are killed and given again, and what must hold of the folder that they fill."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import sys
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import encoded
import lab
import numpy as np

from vtbench.results.record import Record
from vtbench.results.store import SpeedStore, Store
from vtbench.weights import sha256_of

VTBENCH = [sys.executable, "-m", "vtbench"]
SMOKE_ROWS = (
    "msca/table2:vit",
    "msca/table2:msca-kv",
    "laps/table1:laps@main",
    "mmvit/table1:mm-vit-iii-merged@split1",
)
PAPER = "small"
DEFAULTS = """\
caption: A small network on real files
source: {table: 1}
defaults:
  data: {dataset: sthv1, num_frames: 4, stride: 4, size: 32}
  augment: {short_side: [36, 40], flip: 0, interpolation: bilinear, mean: 0.5, std: 0.5}
  model: {name: vit, embed_dim: 24, depth: 2, num_heads: 2, patch_size: 8}
  init: {scratch: true}
  train:
    {method: msca, optimizer: adamw, lr: 0.001, weight_decay: 0.05, epochs: 6, warmup_epochs: 1, schedule: cosine,
     batch_size: 4, accumulate: 2, label_smoothing: 0.1, precision: 32-true}
  eval: {clips: 2, crops: 1, clip_sampling: uniform, short_side: 36, average: logits}
"""
TEMPORARY = re.compile(r"^\.(?!lock$).*|.*\.part.*|^last\.ckpt.*|^best.*\.safetensors$|^failed\.json$|^error\.txt$")
"""Names of files that no finished folder holds."""
NOT_REPEATED = {"elapsed_s"}
"""Columns of metrics.csv that time something."""


@dataclass
class Subject(ABC):
    """One command; it works in a folder of its own, `work`, and is repeated there until it is done."""

    name: str
    inputs: Path
    work: Path
    reference: dict[str, Any] = field(default_factory=dict)
    """What `content` gave of the run that nobody disturbed."""
    seconds: float = 0.0
    """How long that run took."""
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    """By which its processes are found."""

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What must come out the same, in a form that can be compared; AssertionError for what is not in order."""

    def begin(self, copy_from: Path | None = None) -> None:
        """An empty folder, or one with the synthetic videos of another."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        if copy_from is not None and (copy_from / "data").is_dir():
            shutil.copytree(copy_from / "data", self.work / "data")


class Rows(Subject):
    """`vtbench run`: every line once, weights, scores and curves."""

    def content(self) -> dict[str, Any]:
        results = self.work / "results"
        lines = Store(results).read()  # raises for a torn line
        places = [(r.id, r.measurement, r.scale, r.seed, r.variant) for r in lines]
        assert len(set(places)) == len(places), f"a line twice: {places}"
        found: dict[str, Any] = {f"line {r.id} {r.measurement}": _measured(r) for r in lines}
        for folder in sorted((results / "runs").iterdir()):
            assert re.fullmatch(r"(train|eval)-[0-9a-f]{12}", folder.name), f"{folder} is of nobody"
            done = json.loads((folder / "done.json").read_text())
            if folder.name.startswith("train"):
                sha256 = sha256_of(folder / "weights.safetensors")
                assert sha256 == done["weights_sha256"], f"{folder}: other weights than it says"
                found[f"weights {folder.name}"] = sha256
                with (folder / "metrics.csv").open(newline="") as file:
                    found[f"curve {folder.name}"] = [
                        {name: value for name, value in line.items() if name not in NOT_REPEATED}
                        for line in csv.DictReader(file)
                    ]
            else:
                with np.load(folder / "scores.npz") as scores:
                    found[f"scores {folder.name}"] = {name: scores[name].tobytes().hex() for name in scores.files}
        for r in lines:
            assert r.weights_sha256 == found[f"weights train-{r.training_key}"], f"{r.title}: of other weights"
        left = [path for path in results.rglob("*") if TEMPORARY.match(path.name)]
        assert not left, f"left behind: {left}"
        return found


class Smoke(Rows):
    """Rows of three papers at smoke scale, two of which start from one pretraining; two workers."""

    def command(self) -> list[str]:
        return [*VTBENCH, "run", *SMOKE_ROWS, "--scale", "smoke", "--workers", "2"]


class Files(Rows):
    """A row at paper scale, with a small network: real files, read by processes of the worker; accumulation."""

    def command(self) -> list[str]:
        folders = ["--include", str(self.inputs / PAPER), "--data", f"sthv1={self.inputs / 'sthv1'}"]
        return [*VTBENCH, "run", PAPER, "--scale", "paper", *folders, "--data-workers", "2"]


class Prepare(Subject):
    """`vtbench data prepare`: every file, byte for byte."""

    def command(self) -> list[str]:
        return [*VTBENCH, "data", "prepare", str(self.inputs / "sthv1"), "new", "--encoding", "mpeg4", "--workers", "2"]

    def content(self) -> dict[str, Any]:
        files = [path for path in sorted((self.work / "new").rglob("*")) if path.is_file()]
        # The part of a file that a killed command leaves may be another's at work: it is removed a day later.
        whole = [path for path in files if not path.name.startswith(".vtbench-")]
        return {str(path.relative_to(self.work)): hashlib.sha256(path.read_bytes()).hexdigest() for path in whole}


class Speed(Subject):
    """`vtbench speed`: whole lines, and the last ones complete."""

    def command(self) -> list[str]:
        only = ["--only", "latency,memory", "--rounds", "2"]
        return [*VTBENCH, "speed", SMOKE_ROWS[0], "--scale", "smoke", *only]

    def content(self) -> dict[str, Any]:
        lines = SpeedStore(self.work / "results").read()
        return {"newest": sorted(line.metric for line in lines[-2:])}


def _measured(record: Record) -> dict[str, Any]:
    """The cells of a line that repeat bit for bit."""
    names = (
        *(
            "training_key",
            "evaluation_key",
            "top1",
            "top5",
            "metrics",
            "videos_decoded",
            "views",
            "train_top1",
            "epochs",
        ),
        *("batch_size", "accumulate", "lr", "init", "data_fingerprint", "train_fingerprint", "weights_sha256"),
    )
    return {name: getattr(record, name) for name in names}


def make_inputs(folder: Path) -> None:
    """A folder as of Something-Something V1, of short videos, and a paper of one row on it."""
    videos, label = folder / "sthv1", "Pushing something from left to right"
    videos.mkdir(parents=True)
    for part, numbers in (("train", range(1, 25)), ("validation", range(25, 33))):
        for number in numbers:
            encoded.encode(videos / f"{number}.mp4", encoded.numbered(24 + number), options=encoded.x264(12), rate=12)
        (videos / f"{part}.csv").write_text("path,label\n" + "".join(f"{number}.mp4,{label}\n" for number in numbers))
    lab.write(folder / PAPER, defaults=DEFAULTS)
