"""The claims of the papers on the page, each with what printed and measured numbers say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vtbench.papers.claims import load_claims
from vtbench.report.claims.finding import DECIDED, VERDICTS, Finding, Judged
from vtbench.report.compare import Comparison
from vtbench.report.page.facts import Fact, call

PRINTED = "printed"


@dataclass(frozen=True)
class Judgement:
    """What one kind of numbers says of a claim."""

    of: str
    """`printed`, or a scale."""
    task: str
    """A further task of a small scale (`events`); empty for the main one."""
    verdict: str
    said: Fact
    """Numbers and, for what is not decided, why."""
    method: Fact


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


def claims_of(papers: Sequence[str], comparisons: Sequence[Comparison]) -> list[ClaimPart]:
    """The claims of papers about any of the rows, in the order of their files."""
    judged = {one.claim.id: one for comparison in comparisons for one in comparison.claims}
    return [_part(judged[claim.id]) for paper in papers for claim in load_claims(paper) if claim.id in judged]


def _part(judged: Judged) -> ClaimPart:
    claim = judged.claim
    findings = {PRINTED: judged.printed, **judged.measured}
    return ClaimPart(
        claim.id,
        claim.paper,
        Fact(claim.quote, call("quote", claim.id)),
        Fact(str(claim.source), call("said_at", claim.id)),
        Fact(claim.expression.text, call("holds", claim.id)),
        Fact(claim.note, call("claim_note", claim.id)) if claim.note else Fact(""),
        [row.id for row in claim.rows],
        [f"{claim.paper}/{table}" for table in claim.tables],
        [_judgement(claim.id, of, found) for of, found in findings.items()],
    )


def _judgement(claim: str, of: str, found: Finding) -> Judgement:
    scale, _, task = of.partition(" ")
    said, method = (
        Fact(text, call(name, claim, of)) if text else Fact("")
        for name, text in (("finding", said_of(found)), ("method", method_of(found)))
    )
    return Judgement(scale, task.strip("()"), found.verdict, said, method)


def said_of(found: Finding) -> str:
    """The numbers behind a verdict, or why there is none; what is to be run is not said again and again."""
    why = found.why if found.verdict in ("cannot be tested", "not printed") else None
    return "; ".join(filter(None, [found.numbers or found.values, found.corrected, why]))


def method_of(found: Finding) -> str:
    """How a decided verdict was found, and what has to be known of it."""
    return "; ".join(filter(None, [found.method, found.why])) if found.verdict in DECIDED else ""


def kinds_of(parts: Sequence[ClaimPart]) -> list[str]:
    """By what claims were judged: printed numbers first, then each scale."""
    return list(dict.fromkeys(one.of for part in parts for one in part.judgements))


def verdicts_of(parts: Sequence[ClaimPart], of: str) -> list[str]:
    """The verdicts that printed numbers, or those of a scale, gave."""
    found = {one.verdict for part in parts for one in part.judgements if one.of == of}
    return [verdict for verdict in VERDICTS if verdict in found]


def shares(parts: Sequence[ClaimPart], of: str) -> list[Share]:
    """How the claims of a paper fare against printed numbers, or at a scale (by its main task)."""
    found = Counter(one.verdict for part in parts for one in part.judgements if one.of == of and not one.task)
    every = sum(found.values())
    return [
        Share(
            verdict,
            Fact(str(found[verdict]), call("claims", parts[0].paper, of, verdict)),
            100 * found[verdict] / every,
        )
        for verdict in VERDICTS
        if found[verdict]
    ]
