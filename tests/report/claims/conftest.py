"""Claims of the test's own about real rows, and a results folder with the scores of their test videos."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from records import record_of

from vtbench.papers import load_paper, measurements, select
from vtbench.papers.claims import Claim
from vtbench.papers.claims.document import check_claims, read_claims
from vtbench.papers.roots import Root
from vtbench.report.claims import judge as judge_module
from vtbench.report.claims.finding import Judged
from vtbench.report.claims.judge import judge_claims
from vtbench.results import folders
from vtbench.results.store import Store

Read = Callable[..., list[Claim]]
Judge = Callable[..., dict[str, Judged]]
Scored = Callable[..., None]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """read("kv > vit", kv="table2:msca-kv.top1", vit=...): a claim about rows of msca, called "claim"; a paper has
    several if its text is given."""

    def claims(holds: str, *, paper: str = "msca", more: str = "", **cells: str) -> list[Claim]:
        text = holds
        if not holds.startswith("- "):
            listed = ", ".join(f"{name}: {cell}" for name, cell in cells.items())
            text = "- id: claim\n  quote: said\n  source: {section: '1'}\n"
            text += f"  cells: {{{listed}}}\n  holds: {holds}\n{more}"
        folder = tmp_path / "claims" / "benchmarks" / paper
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "claims.yaml").write_text(text)
        own = dataclasses.replace(load_paper(paper), root=Root(tmp_path / "claims"))
        assert check_claims(own) == []
        return read_claims(own)[0]

    return claims


@pytest.fixture
def judge(read: Read, store: Store, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """judge("kv > vit", ..., scales=["mini"]): what `judge_claims` says of such claims, by name."""

    def judged(
        holds: str, *, scales: Sequence[str] | None = None, paper: str = "msca", more: str = "", **cells: str
    ) -> dict[str, Judged]:
        claims = read(holds, paper=paper, more=more, **cells)
        monkeypatch.setattr(judge_module, "load_claims", lambda name: tuple(claims))
        return {one.claim.name: one for one in judge_claims([paper], store.folder, scales)}

    return judged


@pytest.fixture
def scored(store: Store) -> Scored:
    """scored(row, right, seed): a line of results.csv with the scores of its videos, `right` of which are hits."""

    def append(
        row_id: str, right: Sequence[bool], seed: int = 0, measurement: str = "main", scale: str = "mini"
    ) -> None:
        wanted = next(m for m in measurements(select([row_id])[0], scale, seed) if m.name == measurement)
        folder = folders.evaluation_folder(store.folder, wanted.evaluation.key)
        folder.mkdir(parents=True)
        scores = np.stack([np.asarray(right, np.float32), np.full(len(right), 0.5, np.float32)], axis=1)
        np.savez(
            folder / folders.SCORES,
            video_ids=np.array([f"video{i}" for i in range(len(right))]),
            labels=np.zeros(len(right), np.int64),
            video=np.arange(len(right)),
            view=np.zeros(len(right), np.int64),
            scores=scores,
        )
        top1 = 100 * float(np.mean(right))
        record = record_of(wanted, top1, videos_expected=len(right), videos_decoded=len(right))
        done = {"weights_sha256": record.weights_sha256, "data_fingerprint": record.data_fingerprint}
        (folder / folders.DONE).write_text(json.dumps(done))
        store.append(record)

    return append
