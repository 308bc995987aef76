"""`vtbench check`: every problem of every spec file, one line each."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vtbench.cli.options import Parser, add_format, add_selectors, selected_rows
from vtbench.errors import UsageError, printable, unknown
from vtbench.report.printing import plural, print_rows, print_text, setting_text
from vtbench.scales import SCALES

if TYPE_CHECKING:
    from vtbench.papers import Paper

SUMMARY = "Validate every spec file: keys, values, arguments of networks, sources"
EXAMPLES = ("vtbench check", "vtbench check msca", "vtbench check mine --include ../my-papers")
PAGED = True


def options(parser: Parser) -> None:
    """SEL, --format."""
    add_selectors(parser)
    add_format(parser)


def call(args: argparse.Namespace) -> int:
    """Print the problems and counts of each paper, and without SEL of the data sets; 2 if there is a problem."""
    from vtbench.papers import paper_names
    from vtbench.papers.check import check, check_datasets
    from vtbench.papers.datasets import dataset_names
    from vtbench.papers.select import is_all
    from vtbench.papers.selector import Selector
    from vtbench.report.counted import recorded_costs
    from vtbench.report.machines.hours import over_limits
    from vtbench.run.settings import load_settings

    selectors = [Selector.parse(text) for text in args.selectors]
    every = not selectors or any(map(is_all, selectors))
    names = paper_names() if every else list(dict.fromkeys(selector.paper for selector in selectors))
    for name in names:
        if name not in paper_names():
            raise UsageError(unknown("paper", name, paper_names()))
    entries: list[dict[str, Any]] = []
    for name in names:
        paper, problems = check(name)
        if paper is not None:
            problems += over_limits(paper, recorded_costs(load_settings().results))
        found = None if problems else paper
        entries.append({"paper": name, **_counts(found), **_official(found), "problems": problems})
    if every:
        entries.append({"paper": None, "data_sets": len(dataset_names()), "problems": check_datasets()})
    elif not any(entry["problems"] for entry in entries):
        selected_rows(args)  # a table or row that does not exist is an error
    if args.format == "table":
        for entry in entries:
            for problem in entry["problems"]:
                print(printable(problem))  # in one line, for editors that jump to file:line
            parts = (entry["paper"], _counts_text(entry), _verdict(entry["problems"]))
            print_text(": ".join(part for part in parts if part), "  ", "")
            for number, line in enumerate(_official_lines(entry)):
                print_text(line, "      ", "    " if number else "  ")
    else:
        columns = dict.fromkeys(name for entry in entries for name in entry if name not in ("problems", "differences"))
        print_rows(entries, (*columns, "problems"), args.format)
    return 2 if any(entry["problems"] for entry in entries) else 0


def _counts(paper: Paper | None) -> dict[str, int]:
    """The numbers of tables, rows and training runs of each scale; pretrainings, from which others start, apart."""
    if paper is None:
        return {}
    from vtbench.papers import measurements
    from vtbench.papers.claims import load_claims

    counts = {"tables": len(paper.tables), "rows": len(paper.rows), "claims": len(load_claims(paper.name))}
    for scale in SCALES:
        trainings = [m.evaluation.training for row in paper.rows for m in measurements(row, scale)]
        keys = {training.key for training in trainings}
        before = {start.key for training in trainings for start in training.ancestors()} - keys
        counts[f"trainings_at_{scale}_scale"] = len(keys)
        if before:
            counts[f"pretrainings_at_{scale}_scale"] = len(before)
    return counts


def _official(paper: Paper | None) -> dict[str, Any]:
    """How many keys were held against the public codes, and where rows have another value."""
    from vtbench.papers.official import compare, official_settings

    if paper is None or not official_settings(paper.name):
        return {}
    compared = compare(paper)
    differences = [
        {
            "key": found.setting.key,
            "code": found.setting.value,
            "ours": found.ours,
            "decision": found.setting.decision,
            "url": found.setting.url,
            "rows": list(found.rows),
        }
        for found in compared.differences
    ]
    return {"official_keys": len(compared.keys), "differences": differences}


def _official_lines(entry: dict[str, Any]) -> list[str]:
    if "official_keys" not in entry:
        return []
    found = entry["differences"]
    lines = [f"{entry['official_keys']} keys compared with public code, {len(found)} differences, each by a decision"]
    for one in found:
        rows = f"{len(one['rows'])} rows" if len(one["rows"]) > 1 else one["rows"][0]
        code, ours = setting_text(one["code"]), setting_text(one["ours"])
        lines.append(f"{one['key']}: {code} there, {ours} in {rows}: {one['decision']}")
    return lines


def _counts_text(entry: dict[str, Any]) -> str:
    words = [
        f"{entry[name]} {name.replace('_', ' ')}" for name in ("data_sets", "tables", "rows", "claims") if name in entry
    ]
    runs = []
    for scale in SCALES if "rows" in entry else ():
        if not entry[f"trainings_at_{scale}_scale"]:
            continue
        before = entry.get(f"pretrainings_at_{scale}_scale")
        several = f" (+{before} pretraining)" if before else ""
        runs.append(f"{entry[f'trainings_at_{scale}_scale']}{several} at {scale}")
    return ", ".join(words) + (f"; training runs: {', '.join(runs)} scale" if runs else "")


def _verdict(problems: list[str]) -> str:
    return plural(len(problems), "problem") if problems else "ok"
