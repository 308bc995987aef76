"""Appends lines to one results.csv: python writer.py RESULTS NUMBER COUNT."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from records import COMMON

from vtbench.results.record import Record
from vtbench.results.store import Store

EMPTY = dict.fromkeys(("top5", "videos_silent", "train_wall_s", "eval_wall_s", "train_videos"))


def main(results: str, number: str, count: str) -> None:
    store = Store(results)
    for seed in range(int(count)):
        line = {**COMMON, "id": f"writers/table1:{number}", "measurement": "main", "scale": "paper", "seed": seed}
        keys = {"training_key": f"{int(number):06x}{seed:06x}", "evaluation_key": f"{seed:06x}{int(number):06x}"}
        videos = {"videos_expected": 100, "videos_decoded": 100, "videos_failed": 0, "init": "scratch"}
        store.append(Record(**line, **keys, **videos, top1=float(seed % 101), threads=1, versions="torch=2", **EMPTY))


if __name__ == "__main__":
    main(*sys.argv[1:])
