"""speed.csv: the same file mechanics as results.csv, with other columns and other remedies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from records import COMMON

from vtbench.errors import ResultsError
from vtbench.fields import writable
from vtbench.results.record import SpeedRecord
from vtbench.results.store import SpeedStore, Store


def speed_record(**changes: Any) -> SpeedRecord:
    line: dict[str, Any] = {
        **{name: COMMON[name] for name in ("commit", "dirty", "device", "finished_at")},
        "id": "msca/table2:msca-kv",
        "scale": "paper",
        "metric": "latency_ms",
        "batch": 1,
        "value": 31.25,
        "q1": 31.0,
        "q3": 0.1 + 0.2 + 31,
        "against": "msca/table2:vit",
        "ratio": 1.07,
        "ratio_q1": 1.06,
        "ratio_q3": 1.08,
        "rounds": 10,
        "network": "0123456789ab",
        "against_network": "ba9876543210",
        "precision": "16-mixed",
        "threads": 2,
        "versions": "torch=2.8.0;lightning=2.5.0",
        **changes,
    }
    return SpeedRecord(**line)


def test_lines_come_back_as_they_were_appended_beside_results_csv(tmp_path: Path) -> None:
    store = SpeedStore(tmp_path / "new")
    nothing = dict.fromkeys(("q1", "q3", "against", "ratio", "ratio_q1", "ratio_q3", "against_network"))
    written = [speed_record(), speed_record(metric="memory_gb", value=1.7, **nothing)]
    for one in written:
        store.append(one)
    assert store.read() == written
    assert store.path.name == "speed.csv" and not Store(store.folder).path.exists()
    assert list(store.frame().columns) == list(SpeedRecord.columns())


def test_a_truncated_line_is_named_with_its_remedy(tmp_path: Path) -> None:
    store = SpeedStore(tmp_path)
    for batch in (1, 2):
        store.append(speed_record(batch=batch))
    store.path.write_bytes(store.path.read_bytes()[:-9])
    with pytest.raises(
        ResultsError, match=r"speed\.csv:3: the last line is truncated: .*`vtbench speed` measures it again"
    ):
        store.read()


def test_a_full_disk_names_the_line_and_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SpeedStore(tmp_path)
    store.append(speed_record())
    before = store.path.read_bytes()
    monkeypatch.setattr("os.write", lambda descriptor, data: 0)
    with pytest.raises(ResultsError, match=r"the line of msca/table2:vit \(latency_ms, paper\) could not be written"):
        store.append(speed_record(id="msca/table2:vit"))
    assert store.path.read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "latency_s"},
        {"batch": 0},
        {"value": -1.0},
        {"value": float("inf")},
        {"precision": "16"},
        {"rounds": 0},
    ],
)
def test_a_value_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        speed_record(**changes)


def test_every_column_says_what_it_holds_and_the_readme_has_a_line_for_each() -> None:
    readme = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## speed.csv")[2].partition("\n## ")[0]
    for name, (field, _) in writable(SpeedRecord).items():
        assert field.metadata["doc"], name
        assert f"| `{name}` |" in section, name
