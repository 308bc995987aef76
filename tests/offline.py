"""What an offline run of W&B holds, read back from its files.

wandb has no public reader of its own log, so this is one: the log format of LevelDB
(https://github.com/google/leveldb/blob/main/doc/log_format.md) behind a header of seven bytes. Its records are wandb's
protocol buffers.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 32768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """One run."""

    folder: Path
    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    entity: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    """What was logged, one entry per call."""
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name -> type, metadata and the files in it."""
    ended: bool = False
    axes: dict[str, str] = field(default_factory=dict)
    """Metric or glob -> the metric that it is drawn over."""

    @property
    def metrics(self) -> set[str]:
        """Everything that was logged, without what wandb adds."""
        return {name for line in self.history for name in line if not name.startswith("_")}

    def over(self, name: str) -> list[Any]:
        """The values of a metric, in the order in which they were logged."""
        return [line[name] for line in self.history if name in line]

    def table(self, name: str) -> tuple[list[str], list[list[Any]]]:
        """Columns and lines of a table that was logged."""
        (entry,) = self.over(name)
        content = json.loads((self.folder / "files" / entry["path"]).read_text())
        return content["columns"], content["data"]


def offline_runs(results: Path) -> dict[str, list[OfflineRun]]:
    """The offline runs below a results folder by id, those of one id in the order of their folders."""
    found: dict[str, list[OfflineRun]] = {}
    for file in sorted((results / "wandb").glob("offline-run-*/*.wandb")):
        run, waited = read_run(file), 0
        while not run.ended and (waited := waited + 1) < 100:  # wandb's own process may still write the last of it
            time.sleep(0.1)
            run = read_run(file)
        assert run.ended, f"{file}: not finished"
        found.setdefault(run.id, []).append(run)
    return found


def read_run(file: Path) -> OfflineRun:
    """A run from its log."""
    from wandb.proto.wandb_internal_pb2 import Record

    run = OfflineRun(file.parent)
    for data in _records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            one = record.run
            run.id, run.name, run.group, run.job_type = one.run_id, one.display_name, one.run_group, one.job_type
            run.project, run.entity, run.tags = one.project, one.entity, tuple(one.tags)
            run.config |= _items(one.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "metric":
            run.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            _add_artifact(run, record.request.log_artifact.artifact)
        elif kind == "exit":
            run.ended = True
        elif kind == "artifact":
            _add_artifact(run, record.artifact)
    return run


def _add_artifact(run: OfflineRun, artifact: Any) -> None:
    run.artifacts[artifact.name] = {
        "type": artifact.type,
        "metadata": json.loads(artifact.metadata or "{}"),
        "files": [Path(entry.local_path) for entry in artifact.manifest.contents],
    }


def _items(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        *above, name = item.nested_key or [item.key]
        place = found
        for key in above:
            place = place.setdefault(key, {})
        place[name] = json.loads(item.value_json)
    return found


def _records(content: bytes) -> Iterator[bytes]:
    assert content[:4] in (b":W&B", b"")
    place, parts = 7, b""
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:  # too little for a header: the rest of the block is padding
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        data = content[place + 7 : place + 7 + length]
        place += 7 + length
        if place > len(content):  # not written whole yet
            return
        assert kind in (FULL, FIRST, MIDDLE, LAST), f"{kind} at {place}"
        parts = data if kind in (FULL, FIRST) else parts + data
        if kind in (FULL, LAST):
            yield parts
