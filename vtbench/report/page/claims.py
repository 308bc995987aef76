"""The claims of the papers on the page, each with what printed and measured numbers say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vtbench.papers.claims import Claim, load_claims
from vtbench.report.claims.finding import Finding
from vtbench.report.claims.printed import judge_printed
from vtbench.report.page.facts import Fact, call


@dataclass(frozen=True)
class Judgement:
    """What one kind of numbers says of a claim. `of`: `printed`, or a scale, maybe with a task (`mini (events)`)."""

    of: str
    verdict: str
    said: Fact
    """Values and, for what is not decided, why."""


@dataclass(frozen=True)
class ClaimPart:
    """One sentence of a paper."""

    id: str
    paper: str
    quote: Fact
    where: Fact
    holds: Fact
    note: Fact
    rows: list[str]
    tables: list[str]
    judgements: list[Judgement]


@dataclass(frozen=True)
class Share:
    """How many claims of a paper have a verdict."""

    verdict: str
    count: Fact
    percent: float
    """Of its claims, for the width of a bar."""


def claims_of(papers: Sequence[str]) -> list[ClaimPart]:
    """The claims of some papers, in the order of their files."""
    return [_part(claim, {"printed": judge_printed(claim)}) for paper in papers for claim in load_claims(paper)]


def _part(claim: Claim, findings: Mapping[str, Finding]) -> ClaimPart:
    note = Fact(claim.note, call("claim_note", claim.id)) if claim.note else Fact("")
    return ClaimPart(
        claim.id,
        claim.paper,
        Fact(claim.quote, call("quote", claim.id)),
        Fact(str(claim.source), call("said_at", claim.id)),
        Fact(claim.expression.text, call("holds", claim.id)),
        note,
        [row.id for row in claim.rows],
        [f"{claim.paper}/{table}" for table in claim.tables],
        [Judgement(of, found.verdict, _said(claim, of, found)) for of, found in findings.items()],
    )


def _said(claim: Claim, of: str, found: Finding) -> Fact:
    text = "; ".join(filter(None, [found.values, found.why]))
    return Fact(text, call("finding", claim.id, of)) if text else Fact("")


def shares(parts: Sequence[ClaimPart], of: str) -> list[Share]:
    """How the claims of a paper fare against one kind of numbers, most frequent verdict first."""
    found = Counter(one.verdict for part in parts for one in part.judgements if one.of == of)
    every = sum(found.values())
    order = ("supported", "contradicted", "inconclusive", "cannot be tested", "not run", "not printed")
    return [
        Share(
            verdict,
            Fact(str(found[verdict]), call("claims", parts[0].paper, of, verdict)),
            100 * found[verdict] / every,
        )
        for verdict in order
        if found[verdict]
    ]
