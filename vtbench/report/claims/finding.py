"""What was found of a claim: a verdict with the numbers behind it."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from vtbench.papers.claims import Claim
from vtbench.papers.claims.expression import evaluate
from vtbench.report.statistics import Interval
from vtbench.scales import Scale

Verdict = Literal["supported", "contradicted", "inconclusive", "cannot be tested", "not run", "not printed"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
DECIDED: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive")
"""Those that numbers gave."""


class Untestable(Exception):
    """Numbers cannot speak to a claim; says why."""


class NotRun(Exception):
    """Numbers are missing; says which, and how they come."""


@dataclass(frozen=True)
class Finding:
    """What numbers say of a claim. Where it has several conditions, `what`, `value`, `interval` are of the one that
    decides."""

    verdict: Verdict
    why: str | None = None
    """What is missing, why it cannot be tested, or what has to be known of the verdict."""
    sides: Mapping[str, str] = field(default_factory=dict)
    """What the claim compares -> its value, in digits that the numbers vouch for: {"kv - vit": "0.82"}."""
    what: str | None = None
    """The number that has to be above 0: "kv - vit"."""
    value: float | None = None
    interval: Interval | None = None
    """95 %, of this claim alone; of a speed, the quartiles."""
    p: float | None = None
    """Two-sided, of this claim alone; None where nothing is left to chance."""
    p_holm: float | None = None
    """After Holm's correction over the tested claims of the paper at this scale and task: what the verdict is of."""
    method: str | None = None
    keys: tuple[str, ...] = ()
    """Keys of the evaluations that it is of."""

    @property
    def values(self) -> str:
        """ "kv - vit = 0.82"."""
        return ", ".join(f"{name} = {value}" for name, value in self.sides.items())

    @property
    def numbers(self) -> str:
        """The numbers behind the verdict, in short: "+12.3 [+8.1, +16.5]", or the values where that is not long."""
        if self.verdict not in DECIDED:
            return ""
        if self.interval is not None and self.value is not None:
            places = 2 if max(map(abs, self.interval)) < 10 else 1
            low, high = (f"{end:+.{places}f}" for end in self.interval)
            return f"{self.value:+.{places}f} [{low}, {high}]"
        return self.values if len(self.values) <= 30 else ""

    @property
    def corrected(self) -> str:
        """ "p 0.073 after Holm"; empty where nothing was corrected."""
        return "" if self.p_holm is None else f"p {self.p_holm:.2g} after Holm"

    @property
    def short(self) -> str:
        """The numbers, with the corrected p where the verdict is open and the interval, of the claim alone, is not."""
        alone = self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]
        corrected = self.corrected if self.verdict == "inconclusive" and alone else ""
        return ", ".join(filter(None, [self.numbers, corrected]))

    @property
    def text(self) -> str:
        """ "supported: +12.3 [+8.1, +16.5]"."""
        return f"{self.verdict}: {self.short}" if self.short else self.verdict

    def entry(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "verdict": self.verdict,
            "why": self.why,
            "values": dict(self.sides),
            "what": self.what,
            "value": self.value,
            "interval": list(self.interval) if self.interval else None,
            "p": self.p,
            "p_holm": self.p_holm,
            "method": self.method,
            "evaluations": list(self.keys),
        }


@dataclass(frozen=True)
class Judged:
    """A claim with what printed and measured numbers say of it."""

    claim: Claim
    printed: Finding
    measured: Mapping[str, Finding]
    """By scale, or by scale and task where a small scale has further ones ("mini (events)"), smallest scale first."""

    def at(self, scale: Scale) -> dict[str, Finding]:
        """What was measured at one scale."""
        return {name: found for name, found in self.measured.items() if name.partition(" ")[0] == scale}

    def verdicts(self, scale: Scale) -> dict[str, Any]:
        """The claim in the entry of one of its rows at a scale."""
        measured = {name: found.verdict for name, found in self.at(scale).items()}
        return {"id": self.claim.id, "printed": self.printed.verdict, "measured": measured}

    def entry(self) -> dict[str, Any]:
        """The claim's entry in `vtbench claims --format json`."""
        claim = self.claim
        return {
            "id": claim.id,
            "paper": claim.paper,
            "quote": claim.quote,
            "section": claim.source.section,
            "page": claim.source.page,
            "cells": {name: f"{cell.row.paper}/{cell.id}" for name, cell in claim.cells.items()},
            "holds": claim.expression.text,
            "note": claim.note,
            "printed": self.printed.entry(),
            "measured": {name: found.entry() for name, found in self.measured.items()},
        }


def notes(judged: Iterable[Judged], scale: Scale) -> list[str]:
    """Claims in lines below a table of their rows at a scale: one for each of which numbers gave a verdict, and one for
    those that the scale cannot test."""
    lines, others = [], []
    for one in {one.claim.id: one for one in judged}.values():
        found = one.at(scale)
        printed = one.printed.text if one.printed.verdict == "not printed" else f"printed {one.printed.text}"
        if all(finding.verdict == "cannot be tested" for finding in found.values()):
            others.append(f"{one.claim.name} ({printed})")
        else:
            texts = [f"{name} {finding.text}" for name, finding in found.items()]
            lines.append(f"claim {one.claim.name}: {'; '.join([printed, *texts])}")
    return [*lines, *([f"claims that {scale} scale cannot test: {', '.join(others)}"] if others else [])]


def sides_of(claim: Claim, cells: Mapping[str, float], decimals: Mapping[str, int]) -> dict[str, str]:
    """What a claim compares -> its value. `decimals`: of each cell. Raises ZeroDivisionError."""
    return {ast.unparse(side): _text(side, evaluate(side, cells), decimals) for side in claim.expression.sides}


def _text(side: ast.expr, value: float, decimals: Mapping[str, int]) -> str:
    """A value with the decimals of its cells where they are only added up, else with three digits."""
    nodes = list(ast.walk(side))
    scaled = any(isinstance(node, ast.Mult | ast.Div) for node in nodes)
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    if scaled or called & {"percent", "mean"}:
        places = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 2
        return f"{value:.{min(places, 4)}f}"
    return f"{value:.{max(places for name, places in decimals.items() if name in called)}f}"
