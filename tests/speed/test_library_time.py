"""The comparison of reading speed runs, without the libraries that it compares with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_quick_mode_prints_a_time_for_every_case() -> None:
    script = Path(__file__).with_name("library_time.py")
    command = [sys.executable, str(script), "--quick", "--against"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in printed.splitlines() if "|" in line][2:]
    assert len(rows) == 3 * 2 * 2  # files, loads, levels
    times = {tuple(row[:3]): (float(row[3]), float(row[4])) for row in rows}
    assert len(times) == len(rows) and all(ms > 0 and share > 0 for ms, share in times.values())
    # The batch is made from the frames, and 30 views are more pixels than one clip.
    for file in ("kinetics-256", "ssv2", "ucf"):
        assert times[file, "30 views", "batch"][0] > times[file, "8 x 32", "frames"][0]
