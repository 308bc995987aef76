"""What was found of a claim: a verdict with the numbers behind it."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vtbench.papers.claims.document import Claim

Verdict = Literal["supported", "contradicted", "inconclusive", "cannot be tested", "not run", "not printed"]


@dataclass(frozen=True)
class Finding:
    """What numbers say of a claim."""

    verdict: Verdict
    why: str | None = None
    """What is missing, why it cannot be tested, or what is to be known of the verdict."""
    sides: Mapping[str, str] = field(default_factory=dict)
    """What the claim compares -> its value, in digits that the numbers vouch for: {"kv - vit": "0.82"}."""

    @property
    def values(self) -> str:
        """ "kv - vit = 0.82"."""
        return ", ".join(f"{name} = {value}" for name, value in self.sides.items())


def sides_of(claim: Claim, cells: Mapping[str, float], decimals: Mapping[str, int]) -> dict[str, str]:
    """What a claim compares -> its value. `decimals`: of each cell. Raises ZeroDivisionError."""
    from vtbench.papers.claims.expression import evaluate

    return {ast.unparse(side): _text(side, evaluate(side, cells), decimals) for side in claim.expression.sides}


def _text(side: ast.expr, value: float, decimals: Mapping[str, int]) -> str:
    """A value with the decimals of its cells where they are only added up, else with three digits."""
    nodes = list(ast.walk(side))
    if any(isinstance(node, ast.Mult | ast.Div) for node in nodes) or any(
        isinstance(node, ast.Name) and node.id in ("percent", "mean") for node in nodes
    ):
        places = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 2
        return f"{value:.{min(places, 4)}f}"
    return f"{value:.{max(decimals[name] for name in decimals)}f}"
