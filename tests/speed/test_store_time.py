"""What large stores may take. In CPU seconds of a machine of today; tests/speed/store_time.py prints them."""

from __future__ import annotations

from pathlib import Path

import pytest
from big_store import write_store
from speed.store_time import append_ms, first_line, report

from vtbench.results.store import Store


@pytest.mark.slow
@pytest.mark.parametrize(("lines", "most_s"), [(10_000, 4.0), (100_000, 15.0)])
def test_a_report_of_all_rows_of_a_large_store_is_quick(tmp_path: Path, lines: int, most_s: float) -> None:
    write_store(tmp_path, lines)
    seconds, memory = report(tmp_path)
    assert seconds <= most_s
    assert memory < 300


@pytest.mark.slow
def test_run_says_what_is_to_do_within_3_seconds(tmp_path: Path) -> None:
    write_store(tmp_path, 10_000)
    line, seconds = first_line(tmp_path)
    assert "to do" in line or "training" in line
    assert seconds <= 3


@pytest.mark.slow
def test_an_append_takes_as_long_however_many_lines_there_are(tmp_path: Path) -> None:
    times = {}
    for lines in (1000, 30_000):
        write_store(tmp_path / str(lines), lines)
        times[lines] = min(append_ms(tmp_path / str(lines), 100) for _ in range(3))
    assert times[30_000] < 3 * times[1000] + 0.2


def test_the_lines_of_a_large_store_are_what_vtbench_writes(tmp_path: Path) -> None:
    store = write_store(tmp_path, 300)
    found = store.read()
    assert len(found) == 300 and {one.seed for one in found} == {0, 1}
    again = Store(tmp_path / "again")
    again.append_missing(found)
    assert again.path.read_bytes() == store.path.read_bytes()
