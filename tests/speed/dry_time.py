"""The dry run at full size: one row of each paper on a small folder laid out as its real set, from random weights.

    python tests/speed/dry_time.py [--limit 2] [SEL ...]

Prints what `vtbench run SEL --scale paper --limit N` prints: seconds and memory of one epoch on N videos and of the
test of N videos with all views, on the machine at hand. The videos are made: 250 frames of 340 x 256, H.264. Needs
nothing else running and up to 16 GB of memory. Not a test: pytest does not collect it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import encoded
import numpy as np

from vtbench.cli import main

ROWS = ("msca/table2:msca-kv", "laps/table1:laps", "pst/table4:pst-t")


def videos(folder: Path, count: int) -> Path:
    """A Kinetics-400 of so many videos in each split."""
    draw = np.random.default_rng(0)
    texture = np.kron(draw.integers(0, 256, (32, 250, 3), dtype=np.uint8), np.ones((8, 4, 1), np.uint8))
    for part in ("train", "validation"):
        lines = ["path,label"]
        for number in range(count):
            path = folder / part / f"{number}.mp4"
            frames = (texture[:256, 2 * t : 2 * t + 340] for t in range(250))
            encoded.encode(path, frames, options=encoded.x264(50, "bframes=2"), rate=25)
            lines.append(f"{part}/{path.name},abseiling")
        (folder / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=ROWS, metavar="SEL")
    parser.add_argument("--limit", default="2", metavar="N")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        data = videos(Path(made), int(given.limit))
        options = ["--scale", "paper", "--limit", given.limit, "--data", f"kinetics400={data}"]
        options += ["--set", "init.scratch=true"]
        sys.exit(main(["run", *given.rows, *options]))
