"""Stores as large as those of a lab: lines of the real specs with invented numbers, as vtbench writes them."""

from __future__ import annotations

import csv
import hashlib
import random
from datetime import datetime, timedelta
from pathlib import Path

from records import record_of

from vtbench.papers import measurements, select
from vtbench.results.lines.line import checksum, csv_line
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.scales import Scale

VIDEOS = 256


def write_store(results: Path, lines: int, scale: Scale = "mini") -> Store:
    """A results.csv of so many lines: every measurement of every row at a scale (about 215), seed by seed."""
    store, draw, start = Store(results), random.Random(0), datetime(2026, 1, 1)
    results.mkdir(parents=True, exist_ok=True)
    columns = Record.columns()
    like = dict(zip(columns, _cells(), strict=True))
    with store.path.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_line(columns))
        asked = (m for seed in range(lines) for row in select([]) for m in measurements(row, scale, seed))
        for number, m in zip(range(lines), asked, strict=False):
            cells = like | {
                "id": m.row_id,
                "measurement": m.name,
                "scale": m.scale,
                "seed": str(m.seed),
                "training_key": m.evaluation.training.key,
                "evaluation_key": m.evaluation.key,
                "top1": repr(100 * draw.randint(64, VIDEOS) / VIDEOS),
                "train_wall_s": repr(round(100 * draw.random(), 3)),
                "eval_wall_s": repr(round(10 * draw.random(), 3)),
                "weights_sha256": hashlib.sha256(str(number).encode()).hexdigest(),
                "finished_at": f"{start + timedelta(seconds=100 * number):%Y-%m-%dT%H:%M:%SZ}",
            }
            cells["checksum"] = checksum(f"{name}={cell}\n" for name, cell in cells.items() if cell)
            file.write(csv_line(list(cells.values())))
    return store


def _cells() -> list[str]:
    """The cells of one line, as long as those of real ones; no checksum."""
    (m,) = measurements(select(["msca/table2:vit"])[0], "mini")
    versions = (
        "vtbench=0.1.0;torch=2.15.0;torchvision=0.29.2;timm=1.0.31;lightning=2.6.6;torchmetrics=1.9.0;numpy=2.4.6"
    )
    line = record_of(
        m,
        50.0,
        top5=100.0,
        videos_expected=VIDEOS,
        videos_decoded=VIDEOS,
        init="training:501b2fb83ecc@0badc0de",
        selection="recipe of the small scales: cycle validation in sight; last epoch",
        versions=versions,
        commit="6cd4c008b6d7fdeb57c0ff1f0e9230834f172067",
    ).to_line()
    return [*next(csv.reader([line]))[:-1], ""]
