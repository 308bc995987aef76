"""`vtbench show`: every setting of a row, where it comes from, and what it is at a smaller scale."""

from __future__ import annotations

import argparse
import dataclasses
import math
from typing import TYPE_CHECKING, Any

from vtbench.cli.list import list_entry
from vtbench.cli.options import Parser, add_changes, add_format, add_scale, add_selectors, selected_rows
from vtbench.errors import UsageError
from vtbench.report.columns import screen_width
from vtbench.report.printing import aligned, plural, print_json, print_rows, print_text, setting_text
from vtbench.scales import Scale

if TYPE_CHECKING:
    from vtbench.papers import Paper, Row
    from vtbench.papers.resolve import Change

SUMMARY = "Show every setting of a row: value, source, and value at a smaller scale"
EXAMPLES = (
    "vtbench show msca/table2:msca-kv",
    "vtbench show pst/table3:pst-t-in1k-1x1@sthv2 --scale lab",
    "vtbench show msca/table2:msca-kv --resolved",
)
PAGED = True


def options(parser: Parser) -> None:
    """SEL, --format, --scale."""
    add_selectors(parser, "the format table needs one; default of the others: all")
    add_format(parser, "yaml")
    add_scale(parser, "mini")
    add_changes(parser)
    parser.add_argument(
        "--resolved",
        action="store_true",
        help="print one measurement as a complete config, in YAML, which `vtbench run --spec FILE` takes",
    )


def call(args: argparse.Namespace) -> int:
    """Print one block per row, or one line per setting."""
    from vtbench.papers import load_paper

    if args.resolved:
        if args.format not in ("table", "yaml"):
            raise UsageError(f"--resolved prints YAML, not {args.format}")
        rows = selected_rows(args)
        if len(rows) > 1:
            raise UsageError(
                f"--resolved prints one measurement; these are {len(rows)} rows, name one, as {rows[0].id}"
            )
        from vtbench.papers.resolved import resolved

        print(resolved(rows[0], args.scale), end="")
        return 0
    if args.format == "yaml":
        raise UsageError("--format yaml belongs to --resolved")
    rows = selected_rows(args)
    if args.format == "table" and not args.selectors:
        raise UsageError(f"show needs a selector: which rows; `all` is every row, {len(rows)} of them")
    entries = [show_entry(load_paper(row.paper), row, args.scale) for row in rows]
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
    from vtbench.papers.claims import load_claims
    from vtbench.papers.decisions import decisions_of, unsaid, variants_of_decision
    from vtbench.papers.official import setting_of
    from vtbench.papers.resolve import changes_at
    from vtbench.papers.sources import value_sources
    from vtbench.papers.spec.recipe import Recipe

    table = next(table for table in paper.tables if table.name == row.table)
    entry: dict[str, Any] = {
        **list_entry(row, scale),
        "title": paper.about.title,
        "caption": table.caption,
        "table_reconstructed": table.reconstructed,
        "reconstructed": {name: cell.reconstructed for name, cell in row.published.items() if cell.reconstructed},
        "baseline": row.baseline_id,
        "means": {name: list(parts) for name, parts in row.means.items()},
        "like": row.like,
        "notes": {
            name: {
                "where": found.where,
                "what": found.what,
                "decision": found.decision,
                "why": found.why,
                "variants": variants_of_decision(paper, name),
            }
            for name, found in decisions_of(paper, row).items()
        },
        "unsaid": unsaid(paper, row),
        "claims": {one.id: one.quote for one in load_claims(paper.name) if row.id in [other.id for other in one.rows]},
        "variant": row.variant,
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
                    key: {
                        "value": plain(value),
                        "source": sources[key],
                        "url": found.url if (found := setting_of(row, spec, key)) else None,
                    }
                    for key, value in spec.recipe.leaves().items()
                },
                "changes": [_change(change) for change in changes_at(row, name, scale)] if evaluation else [],
                "starts_from": start,
            }
        )
    return entry


def _change(change: Change) -> dict[str, Any]:
    return {"key": change.key, "paper": plain(change.paper), "now": plain(change.now), "why": change.why}


def plain(value: Any) -> Any:
    """A setting as a value that JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def print_entry(entry: dict[str, Any]) -> None:
    """Print what `show_entry` returned, for a reader."""
    scale = "" if entry["scale"] == "paper" else f", and what differs at {entry['scale']} scale"
    kind = f"{'own' if entry['own'] else 'quoted'}, {entry['status']}"
    print_text(f"{entry['id']}  {entry['label']}  ({kind}; paper scale{scale})")
    print_text(f"{entry['title']}, {entry['table']}: {entry['caption']}", "  ")
    said = [f"reconstructed: {entry['table_reconstructed']}"] if entry["table_reconstructed"] else []
    said += [f"printed {heading}: {text}" for heading, text in entry["printed"].items()]
    said += [
        f"printed {name} {entry['published'][name]} is reconstructed from: {origin}"
        for name, origin in entry["reconstructed"].items()
    ]
    said += [f"counted {name} {value}" for name, value in entry["counted"].items()]
    said += [
        f"published {'accuracies' if name == 'main' else name} are means over {', '.join(parts)}"
        for name, parts in entry["means"].items()
    ]
    if entry["like"]:
        said.append(f"like {entry['like']}, except for the network")
    if entry["baseline"]:
        said.append(f"baseline {entry['baseline']} (for latency, throughput and memory)")
    if entry["variant"]:
        said.append(f"changed by {entry['variant']}: not the row's own recipe")
    for text in said:
        print_text(text, "  ")
    hidden = sum(_print_measurement(measurement, entry["scale"]) for measurement in entry["measurements"])
    _print_decisions(entry)
    if hidden:
        print()
        print_text(f"{plural(hidden, 'URL')} of public code hidden: longer than a line; --format json has all", "  ")
    print()


def _print_measurement(measurement: dict[str, Any], scale: Scale) -> int:
    """Print the settings of a measurement; gives how many URLs are longer than a line."""
    print()
    print_text(f"measurement {measurement['name']}, at paper scale{_only(measurement['scales'])}", "  ")
    leaves, hidden = measurement["recipe"], 0
    lines = [(key, setting_text(leaf["value"]), leaf["source"] or "") for key, leaf in leaves.items()]
    for line, leaf in zip(aligned(lines, "    "), leaves.values(), strict=True):
        print(line)
        if leaf["url"] and (leaf["source"] or "").startswith("code"):
            if len(leaf["url"]) + 6 <= (screen_width() or math.inf):
                print(f"      {leaf['url']}")
            else:
                hidden += 1
    if measurement["training"] is None:
        return hidden
    print_text(f"at {scale} scale: training {measurement['training']}, evaluation {measurement['evaluation']}", "  ")
    changes = [
        (change["key"], f"{setting_text(change['paper'])} -> {setting_text(change['now'])}", f"({change['why']})")
        for change in measurement["changes"]
    ]
    for line in aligned(changes, "    "):
        print(line)
    for start in measurement["starts_from"]:
        print_text(f"starts from training {start['training']}, seed {start['seed']}:", "    ")
        for line in aligned([(key, setting_text(value)) for key, value in start["recipe"].items()], "      "):
            print(line)
    return hidden


def _print_decisions(entry: dict[str, Any]) -> None:
    """What was decided for the row, what the paper leaves out of its settings, and what it claims of its numbers."""
    for title, texts in (
        ("decisions", {name: _decision_text(found) for name, found in entry["notes"].items()}),
        ("left out by the paper", entry["unsaid"]),
        ("claims (vtbench claims CLAIM)", entry["claims"]),
    ):
        if texts:
            print(f"\n  {title}")
        for name, text in texts.items():
            print_text(f"{name}: {text}", "      ", "    ")


def _decision_text(found: dict[str, Any]) -> str:
    run = f" (--variant {' or '.join(found['variants'])})" if found["variants"] else ""
    return f"{found['what']} - {found['decision']} {found['why']}{run}"


def _only(scales: list[str]) -> str:
    return "" if "paper" in scales else f" (measured at {' and '.join(scales)} scale only)"


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
