"""Accuracy by class and confused pairs of rows, printed: `vtbench report --per-class` and `--confusion`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vtbench.errors import few
from vtbench.papers.spec.schema import Row
from vtbench.report.predictions.classes import ClassAccuracy, by_class, confused
from vtbench.report.predictions.tested import Tested, tested
from vtbench.report.printing import print_json, print_rows, print_text
from vtbench.results.store import Store
from vtbench.scales import Scale, smallest_first

LISTED = 10
"""Results without scores that are named one by one."""


def print_classes(rows: Sequence[Row], results: Path, scale: Scale | None, form: str) -> int:
    """Top-1 by class of each measurement, over its seeds; gives the exit code. Without a scale, at every one that has
    results."""

    def part(one: Tested) -> dict[str, Any]:
        return {"classes": [dataclasses.asdict(each) for each in by_class(one).classes]}

    def lines(entry: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "class": one["name"],
                "label": one["label"],
                "videos": one["videos"],
                "top1": _percent(one["accuracy"], form),
                "sd": _percent(one["sd"], form),
            }
            for one in entry["classes"]
        ]

    def summary(entry: dict[str, Any]) -> str:
        found = [ClassAccuracy(**one) for one in entry["classes"]]
        mean = sum(one.accuracy for one in found) / len(found)
        highest = max(one.accuracy for one in found)
        lower = sorted((one for one in found if one.accuracy < highest), key=lambda one: one.accuracy)
        named = ", ".join(f"{one.name} {one.accuracy:.1f}" for one in lower[:3])
        return f"mean over {len(found)} classes {mean:.2f}" + (f"; lowest: {named}" if lower else "")

    return _print(rows, results, scale, form, part, lines, ("class", "label", "videos", "top1", "sd"), summary)


def print_confusion(rows: Sequence[Row], results: Path, scale: Scale | None, form: str, most: int) -> int:
    """The `most` pairs of classes of each measurement of which one was most often taken for the other; gives the exit
    code."""

    def part(one: Tested) -> dict[str, Any]:
        found = confused(one)
        return {
            "pairs": [dataclasses.asdict(each) for each in found.pairs(most)],
            "wrong": int(found.matrix.sum() - found.matrix.trace()),
            "read": int(found.matrix.sum()),
            "unreadable": found.unreadable,
        }

    def lines(entry: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "class": one["name"],
                "taken for": one["predicted_name"],
                "videos": one["count"],
                "% of class": _percent(one["share"], form),
            }
            for one in entry["pairs"]
        ]

    def summary(entry: dict[str, Any]) -> str:
        seeds = len(entry["seeds"])
        of_seeds = "" if seeds == 1 else f" of {seeds} seeds together"
        lost = f"; {entry['unreadable']} that could not be read are in no pair" if entry["unreadable"] else ""
        return f"{entry['wrong']} of {entry['read']} videos{of_seeds} were taken for another class{lost}"

    return _print(rows, results, scale, form, part, lines, ("class", "taken for", "videos", "% of class"), summary)


def _print(
    rows: Sequence[Row],
    results: Path,
    scale: Scale | None,
    form: str,
    part: Callable[[Tested], dict[str, Any]],
    lines: Callable[[dict[str, Any]], list[dict[str, Any]]],
    columns: tuple[str, ...],
    summary: Callable[[dict[str, Any]], str],
) -> int:
    store = Store(results)
    measured = {record.scale for record in store.read() if record.id in {row.id for row in rows}}
    scales = (scale,) if scale else tuple(one for one in smallest_first() if one in measured)
    found = [one for at in scales for one in tested(rows, at, store)]
    entries = [{**_origin(one, results), **part(one)} for one in found]
    scored = [(one, entry) for one, entry in zip(found, entries, strict=True) if one.scores]
    if form == "json":
        print_json(entries)
    elif form == "csv":
        about = ("id", "variant", "measurement", "scale", "data_fingerprint")
        flat = [
            {**{name: entry[name] for name in about}, "seeds": len(entry["seeds"]), **line}
            for _, entry in scored
            for line in lines(entry)
        ]
        print_rows(flat, (*about, "seeds", *columns), "csv")
    else:
        for one, entry in scored:
            seeds = ", ".join(map(str, entry["seeds"]))
            print(f"{'### ' if form == 'md' else ''}{one.title}, {one.dataset}, seed {seeds}\n")
            if made := lines(entry):
                print_rows(made, columns, form)
                print()
            print_text(summary(entry))
            print()
        for note in _notes(rows, found, results):
            print_text(note, first="- " if form == "md" else "")
    return 0


def _origin(one: Tested, results: Path) -> dict[str, Any]:
    return {
        "id": one.row.id,
        "variant": one.row.variant,
        "measurement": one.measurement,
        "scale": one.scale,
        "dataset": one.dataset,
        "data_fingerprint": one.fingerprint,
        "seeds": [seed.record.seed for seed in one.scored],
        "evaluation_keys": [seed.record.evaluation_key for seed in one.scored],
        "lacking": one.lacking(results),
    }


def _notes(rows: Sequence[Row], found: Sequence[Tested], results: Path) -> list[str]:
    """Rows without a result, seeds without scores, and seeds that were tested on different copies of the videos."""
    notes = []
    lacking = [line for one in found for line in one.lacking(results)]
    notes += lacking[:LISTED]
    if len(lacking) > LISTED:
        notes.append(f"{len(lacking) - LISTED} more have no scores there; --format json names them")
    there = {one.row.id for one in found}
    if absent := [row.id for row in rows if row.id not in there]:
        notes.append(f"{len(absent)} rows have no result in {results}: {few(absent)}")
    copies = dict.fromkeys(f"{one.row.id}@{one.measurement}" for one in found if one.copies > 1)
    if copies:
        notes.append(f"seeds on different copies of the test videos stand apart, they are not averaged: {few(copies)}")
    return notes


def _percent(value: float | None, form: str) -> float | str | None:
    return f"{value:.2f}" if value is not None and form != "csv" else value
