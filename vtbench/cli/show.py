"""`vtbench show`: every setting of a row, where it comes from, and what it is at a smaller scale."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from vtbench.cli.list import list_entry
from vtbench.cli.options import Parser, add_format, add_scale, add_selectors, selected_rows
from vtbench.report.printing import cell_text, print_json, print_rows
from vtbench.scales import Scale

if TYPE_CHECKING:
    from vtbench.papers import Paper, Row
    from vtbench.papers.resolve import Change

SUMMARY = "Show every setting of a row: value, source, and value at a smaller scale"


def options(parser: Parser) -> None:
    """SEL, --format, --scale."""
    add_selectors(parser)
    add_format(parser)
    add_scale(parser, "mini")


def call(args: argparse.Namespace) -> int:
    """Print one block per row, or one line per setting."""
    from vtbench.papers import load_paper

    entries = [show_entry(load_paper(row.paper), row, args.scale) for row in selected_rows(args)]
    if args.format == "json":
        print_json(entries)
    elif args.format == "table":
        for entry in entries:
            print_entry(entry)
    else:
        columns = ("id", "measurement", "key", "paper", "source", args.scale, "why")
        print_rows([line for entry in entries for line in flat_lines(entry)], columns, args.format)
    return 0


def show_entry(paper: Paper, row: Row, scale: Scale) -> dict[str, Any]:
    """The row's entry in `vtbench show --format json`."""
    from vtbench.papers import measurements
    from vtbench.papers.resolve import changes_at
    from vtbench.papers.sources import value_sources
    from vtbench.papers.spec.recipe import Recipe

    table = next(table for table in paper.tables if table.name == row.table)
    entry: dict[str, Any] = {
        **list_entry(row, scale),
        "title": paper.about.title,
        "caption": table.caption,
        "table_reconstructed": table.reconstructed,
        "printed": dict(row.printed),
        "reconstructed": {name: cell.reconstructed for name, cell in row.published.items() if cell.reconstructed},
        "baseline": row.baseline_id,
        "means": {name: list(parts) for name, parts in row.means.items()},
        "like": row.like,
        "notes": {note: paper.about.decisions[note].decision for note in row.notes},
        "scale": scale,
        "measurements": [],
    }
    evaluations = {m.name: m.evaluation for m in measurements(row, scale)}
    for name, spec in row.asked_recipes.items():
        evaluation = evaluations.get(name)
        start = [
            {
                "training": training.key,
                "seed": training.seed,
                "recipe": Recipe(training.data, training.model, training.augment, train=training.train).leaves(),
            }
            for training in (evaluation.training.ancestors() if evaluation else ())
        ]
        sources = value_sources(paper, row, name)
        entry["measurements"].append(
            {
                "name": name,
                "scales": list(spec.scales),
                "training": evaluation.training.key if evaluation else None,
                "evaluation": evaluation.key if evaluation else None,
                "recipe": {
                    key: {"value": _plain(value), "source": sources[key]} for key, value in spec.recipe.leaves().items()
                },
                "changes": [_change(change) for change in changes_at(row, name, scale)] if evaluation else [],
                "starts_from": start,
            }
        )
    return entry


def _change(change: Change) -> dict[str, Any]:
    return {"key": change.key, "paper": _plain(change.paper), "now": _plain(change.now), "why": change.why}


def _plain(value: Any) -> Any:
    """A setting as a value that JSON has."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def print_entry(entry: dict[str, Any]) -> None:
    """Print what `show_entry` returned, for a reader."""
    print(f"{entry['id']}  {entry['label']}  ({'own' if entry['own'] else 'quoted'}, {entry['status']})")
    print(f"  {entry['title']}, {entry['table']}: {entry['caption']}")
    if entry["table_reconstructed"]:
        print(f"  reconstructed: {entry['table_reconstructed']}")
    for name, text in entry["published"].items():
        origin = entry["reconstructed"].get(name)
        print(f"  published {name} {text}" + (f" (reconstructed from: {origin})" if origin else ""))
    for name, parts in entry["means"].items():
        print(f"  published {'accuracies' if name == 'main' else name} are means over {', '.join(parts)}")
    if entry["like"]:
        print(f"  like {entry['like']}, except for the network")
    if entry["baseline"]:
        print(f"  baseline {entry['baseline']} (for latency, throughput and memory)")
    for note, decision in entry["notes"].items():
        print(f"  {note}: {decision}")
    for measurement in entry["measurements"]:
        print(f"\n  measurement {measurement['name']}, at paper scale" + _only(measurement["scales"]))
        for key, leaf in measurement["recipe"].items():
            print(f"    {key:<28}{_text(leaf['value']):<35} {leaf['source'] or ''}".rstrip())
        if measurement["training"] is None:
            continue
        print(
            f"  at {entry['scale']} scale: training {measurement['training']}, evaluation {measurement['evaluation']}"
        )
        for change in measurement["changes"]:
            print(f"    {change['key']:<28}{_text(change['paper'])} -> {_text(change['now'])}  ({change['why']})")
        for start in measurement["starts_from"]:
            print(f"    starts from training {start['training']}, seed {start['seed']}:")
            for key, value in start["recipe"].items():
                print(f"      {key:<26}{_text(value)}")
    print()


def _only(scales: list[str]) -> str:
    return "" if "paper" in scales else f" (measured at {' and '.join(scales)} scale only)"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(cell_text, value))}]"
    if isinstance(value, dict):  # a pretraining; the rest of it is in the recipe of `starts_from`
        return f"{value['model']} on {value['dataset']}"
    return cell_text(value) or "not set"


def flat_lines(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What `show_entry` returned, as one line per measurement and key, for CSV and Markdown."""
    lines = []
    for measurement in entry["measurements"]:
        changes = {change["key"]: change for change in measurement["changes"]}
        recipe = measurement["recipe"]
        for key in [*recipe, *(key for key in changes if key not in recipe)]:
            leaf = recipe.get(key, {"value": None, "source": None})
            change = changes.get(key, {"now": leaf["value"], "why": ""})
            line = {"id": entry["id"], "measurement": measurement["name"], "key": key, "source": leaf["source"]}
            lines.append({**line, "paper": leaf["value"], entry["scale"]: change["now"], "why": change["why"]})
    return lines
