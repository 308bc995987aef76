"""official.yaml of a paper: what the public codes have, as data, held against the rows at paper scale.

    sources:                        # codes besides the paper's own (`code` of paper.yaml)
      timesformer: {url: https://github.com/facebookresearch/TimeSformer, commit: ...}
    settings:
      - file: config/defaults.py    # of all keys below that name none
        when: {model.name: laps_rest}                    # the rows that it is of; or rows: [laps/table3:laps-rs]
        keys:
          train.momentum: {value: 0.9, line: 184}
          eval.clips: {value: 10, file: main_tokshift.py, line: 142, decision: laps-views}

A value is that of the code in the words of a spec; null is a key that a spec would leave out. Where a row has another
one, the entry names the decision.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vtbench.errors import SpecError, UsageError, unknown
from vtbench.fields import key
from vtbench.papers.load import load_paper
from vtbench.papers.override import keys_of, plain_value
from vtbench.papers.select import select
from vtbench.papers.spec.document import Node, Problems, build, described, read_yaml
from vtbench.papers.spec.layers import RowRecipe, raw
from vtbench.papers.spec.schema import Code, Paper, Row

FILE = "official.yaml"


@dataclass(frozen=True, kw_only=True)
class _OfficialFile:
    sources: dict[str, Code] = key("name -> a code besides the paper's own", default={})
    settings: Node = key("groups of keys", read=raw)


@dataclass(frozen=True, kw_only=True)
class _GroupFile:
    source: str | None = key("a name of `sources`; not set: the paper's own code", default=None)
    file: str | None = key("the file of keys that name none", default=None)
    rows: tuple[str, ...] = key("the rows that it is of, as selectors; not set: all", default=())
    when: Node | None = key("dotted key -> value or values of the rows that it is of", default=None, read=raw)
    keys: Node = key("dotted key -> value, file, line, decision", read=raw)


@dataclass(frozen=True, kw_only=True)
class _EntryFile:
    value: Node | None = key("the code's value, as a spec writes it; empty: not set", default=None, read=raw)
    file: str | None = key("the file that says it", default=None)
    line: int = key("the line of it", at_least=1)
    decision: str | None = key("why rows have another value", default=None)


@dataclass(frozen=True, eq=False)
class Setting:
    """One value of a public code."""

    key: str
    value: Any
    file: str
    line: int
    code: Code
    source: str | None
    rows: frozenset[str] | None
    """The ids that it is of; None: all."""
    when: Mapping[str, tuple[Any, ...]]
    decision: str | None
    place: str
    """Where it stands, for messages."""

    @property
    def url(self) -> str:
        """The file at the commit, with the line."""
        return f"{self.code.url}/blob/{self.code.commit}/{self.file}#L{self.line}"

    def concerns(self, row: Row, leaves: Mapping[str, Any]) -> bool:
        """Whether it is of a row with these settings."""
        named = self.rows is None or row.id in self.rows
        return named and all(plain_value(leaves.get(name)) in values for name, values in self.when.items())


@dataclass(frozen=True)
class Difference:
    """A key that rows have otherwise than a code."""

    setting: Setting
    ours: Any
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """What was found for a paper: the keys that were compared, and where they differ."""

    keys: tuple[str, ...]
    differences: tuple[Difference, ...]
    problems: tuple[str, ...]


@cache
def official_settings(name: str) -> tuple[Setting, ...]:
    """What official.yaml of a paper holds; nothing where there is none. Raises SpecError for what does not fit."""
    paper = load_paper(name)
    path = paper.root.benchmarks / name / FILE
    return tuple(_read(paper, path)) if os.path.lexists(path) else ()


def _read(paper: Paper, path: Path) -> Iterator[Setting]:
    problems = Problems()
    top = read_yaml(path)
    file = build(_OfficialFile, top, problems=problems)
    problems.refuse()
    codes: dict[str | None, Code] = {name: code for name, code in file.sources.items()}  # noqa: C416
    if paper.about.code is not None:
        codes[None] = paper.about.code
    if not isinstance(file.settings.value, list):
        file.settings.fail(f"must be a list of groups, not {described(file.settings)}")
    for node in file.settings.value:
        group = build(_GroupFile, node)
        if group.source not in codes:
            node.value.get("source", node).fail(unknown("source", group.source or "", file.sources))
        if not isinstance(group.keys.value, dict):
            group.keys.fail(f"must be keys with their values, not {described(group.keys)}")
        rows = _rows(node, group.rows)
        when = {name: _values(inner) for name, inner in (group.when.value if group.when else {}).items()}
        for dotted, inner in group.keys.value.items():
            entry = build(_EntryFile, inner)
            if not (entry.file or group.file):
                inner.fail("names no file, and neither does its group")
            yield Setting(
                key=dotted,
                value=entry.value.plain() if entry.value is not None else None,
                file=entry.file or group.file or "",
                line=entry.line,
                code=codes[group.source],
                source=group.source,
                rows=rows,
                when=when,
                decision=entry.decision,
                place=f"{inner.file}:{inner.line}: {dotted}",
            )


def _rows(node: Node, selectors: tuple[str, ...]) -> frozenset[str] | None:
    if not selectors:
        return None
    found: list[Row] = []
    try:
        found = select(selectors)
    except (UsageError, SpecError) as error:
        node.value["rows"].fail(str(error))
    return frozenset(row.id for row in found)


def _values(node: Node) -> tuple[Any, ...]:
    found = node.plain()
    return tuple(found) if isinstance(found, list) else (found,)


def setting_of(row: Row, spec: RowRecipe, dotted: str) -> Setting | None:
    """What a public code has for a key of a row: the last entry that is of the row."""
    leaves = spec.recipe.leaves()
    found = [s for s in official_settings(row.paper) if s.key == dotted and s.concerns(row, leaves)]
    return found[-1] if found else None


def compare(paper: Paper) -> Compared:
    """Hold every entry of official.yaml against the rows that it is of. A difference without a decision, a decision
    that nothing needs, and an entry that is of no row are problems."""
    differences: list[Difference] = []
    problems: list[str] = []
    keys: dict[str, None] = {}
    trained = [
        (row, spec.recipe.leaves(), _keys(spec))
        for row in paper.rows
        if row.own and row.status == "runnable" and row.like is None
        for spec in row.recipes.values()
        if "paper" in spec.scales
    ]
    for setting in official_settings(paper.name):
        every = {name for _, _, names in trained for name in names}
        if misspelt := [name for name in setting.when if name not in every]:
            problems.append(f"{setting.place}: when: {unknown('key', misspelt[0], sorted(every))}")
            continue
        concerned = [(row, leaves) for row, leaves, _ in trained if setting.concerns(row, leaves)]
        of_them = {name for row, leaves, names in trained if setting.concerns(row, leaves) for name in names}
        if concerned and setting.key not in of_them:
            problems.append(f"{setting.place}: {unknown('key', setting.key, sorted(of_them))}")
            continue
        if not concerned:
            problems.append(f"{setting.place}: is of no row; remove it, or correct `rows` and `when`")
            continue
        keys.setdefault(setting.key)
        others: dict[str, tuple[Any, list[str]]] = {}
        for row, leaves in concerned:
            ours = plain_value(leaves.get(setting.key))
            if ours != setting.value:
                ids = others.setdefault(repr(ours), (ours, []))[1]
                if row.id not in ids:
                    ids.append(row.id)
        if setting.decision is not None and setting.decision not in paper.about.decisions:
            wrong = unknown("decision", setting.decision, paper.about.decisions, of="paper.yaml")
            problems.append(f"{setting.place}: {wrong}")
        elif others and setting.decision is None:
            ours, ids = next(iter(others.values()))
            few = ids[0] + (f" and {len(ids) - 1} more" if len(ids) > 1 else "")
            problems.append(
                f"{setting.place}: is {_shown(setting.value)} in the code and {_shown(ours)} in {few}; name the "
                "decision, or change the row"
            )
        elif setting.decision is not None and not others:
            problems.append(f"{setting.place}: every row has the code's value; remove the decision")
        else:
            differences += [Difference(setting, ours, tuple(ids)) for ours, ids in others.values()]
    return Compared(tuple(keys), tuple(differences), tuple(problems))


def _keys(spec: RowRecipe) -> set[str]:
    """What a recipe can have, by dotted key."""
    return {f"{block}.{name}" for block, names in keys_of(spec).items() for name in names} | {"model.name"}


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)
