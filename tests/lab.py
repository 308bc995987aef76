"""A paper of the user's in a folder outside the package, from text: what most tests of included folders start from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from vtbench.papers.trainings import Training

PAPER = "title: A paper\n"
DEFAULTS = """\
caption: A table
source: {table: 1}
defaults:
  data: {dataset: kinetics400, num_frames: 8, stride: 4, size: 224}
  augment: {short_side: [256, 320], flip: 0.5, interpolation: bilinear, mean: 0.5, std: 0.5}
  model: {name: vit}
  init: {weights: vit_base_patch16_224.orig_in21k}
  train:
    {method: msca, optimizer: adamw, lr: 0.001, weight_decay: 0.05, epochs: 50, warmup_epochs: 2.5, schedule: cosine,
     batch_size: 64, accumulate: 1, label_smoothing: 0.1, precision: 32-true}
  eval: {clips: 1, crops: 1, clip_sampling: uniform, short_side: 224, average: logits}
"""
ROW = '  - {id: one, label: One, published: {top1: "50.0"}}\n'


def with_train(training: Training, **changed: Any) -> Training:
    """A training with other keys of `train`; None for one that is left out."""
    fields = {field.name for field in dataclasses.fields(training.train)}
    arguments = {**training.train.arguments, **{k: v for k, v in changed.items() if k not in fields}}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    own = {name: value for name, value in changed.items() if name in fields}
    return dataclasses.replace(training, train=dataclasses.replace(training.train, arguments=arguments, **own))


def write(folder: Path, rows: str = ROW, *, paper: str = PAPER, defaults: str = DEFAULTS) -> Path:
    """A root in `folder` with one paper, called as the folder, that has one table of these rows; gives the folder."""
    target = folder / "benchmarks" / folder.name
    target.mkdir(parents=True, exist_ok=True)
    (target / "paper.yaml").write_text(paper)
    (target / "table1.yaml").write_text(f"{defaults}rows:\n{rows}")
    return folder
