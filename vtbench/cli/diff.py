"""`vtbench diff`: every setting in which two rows differ, or a row and its variant, or a row at two commits."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vtbench.cli.options import Parser, add_changes, add_format, add_include, add_scale, one_row
from vtbench.errors import UsageError
from vtbench.report.columns import screen_width, takes
from vtbench.report.printing import (
    aligned,
    plural,
    print_json,
    print_rows,
    print_table,
    print_text,
    setting_text,
    text_column,
)
from vtbench.scales import Scale

if TYPE_CHECKING:
    from vtbench.papers import Row

SUMMARY = "Show the settings in which two rows differ, or a row and its variant, or two commits"
EXAMPLES = (
    "vtbench diff msca/table2:msca-k msca/table2:msca-kv",
    "vtbench diff laps/table1:laps --variant official-code",
    "vtbench diff laps/table1:laps --commit HEAD~1",
)
PAGED = True


def options(parser: Parser) -> None:
    """A, B, --format, --scale, --variant, --set, --commit."""
    one = "a row as paper/table:row, with @measurement where it has several"
    parser.add_argument("a", metavar="A", help=one)
    parser.add_argument(
        "b", metavar="B", nargs="?", help="another; with --variant, --set or --commit: A itself if left out"
    )
    add_include(parser)
    add_format(parser)
    add_scale(parser, "paper")
    add_changes(parser)
    parser.add_argument(
        "--commit",
        action="append",
        default=[],
        metavar="COMMIT",
        help="A as it was at a commit of vtbench, in place of A; given twice, also B as it was at the second",
    )


def call(args: argparse.Namespace) -> int:
    """Print one line per setting that differs."""
    entry = diff_entry(args)
    if args.format == "json":
        print_json(entry)
        return 0
    if args.format == "table":
        _draw(entry)
        return 0
    lines = [
        {"key": line["key"], entry["a"]: setting_text(line["a"]), entry["b"]: setting_text(line["b"])}
        for line in entry["differences"]
    ]
    print_rows(lines, ("key", entry["a"], entry["b"]), args.format)
    return 0


def _draw(entry: dict[str, Any]) -> None:
    """Print the settings side by side under the names of the sides; where a line is too short, one below the other."""
    found = [(line["key"], setting_text(line["a"]), setting_text(line["b"])) for line in entry["differences"]]
    if not found:
        print_text(f"{entry['a']} and {entry['b']}: no difference at {entry['scale']} scale{entry['note']}")
        return
    width = screen_width() or math.inf
    for headings in (("key", entry["a"], entry["b"]), ("key", "A", "B")):
        cells = zip(*found, strict=True)
        columns = [text_column(name, list(column), rank=0) for name, column in zip(headings, cells, strict=True)]
        if takes(columns) <= width:
            break
    if headings[1] == "A":
        print_text(f"A: {entry['a']}")
        print_text(f"B: {entry['b']}")
    if takes(columns) <= width:
        print_table(columns, all_in="--format csv")
    else:
        for key, *values in found:
            print(key)
            print("\n".join(aligned(list(zip("AB", values, strict=True)), "  ")))
    print()
    verb = "differs" if len(found) == 1 else "differ"
    print_text(f"{plural(len(found), 'setting')} {verb} at {entry['scale']} scale{entry['note']}")


def diff_entry(args: argparse.Namespace) -> dict[str, Any]:
    """The entry of `vtbench diff --format json`: `a`, `b` (what is compared), `scale`, `differences` (key, a, b; null
    for a key that is not set) and `note`. Raises UsageError for what is not one measurement of one row."""
    changed = bool(args.variant or args.set)
    if args.b is None and not (changed or args.commit):
        raise UsageError("diff needs a second row, or --variant, --set or --commit; see vtbench diff --help")
    if len(args.commit) > 2:
        raise UsageError("--commit: at most two, of A and of B")
    a, b = args.a, args.b or args.a
    if args.commit:
        if changed:
            raise UsageError("--commit compares rows as they stand in their files; leave out --variant and --set")
        first, second = args.commit[0], args.commit[1] if len(args.commit) > 1 else None
        title_a, left = f"{a} at {first}", _at_commit(a, args.scale, first)
        title_b, right = (
            (f"{b} at {second}", _at_commit(b, args.scale, second)) if second else (b, _settings(b, args.scale))
        )
    else:
        title_a, left = a, _settings(a, args.scale)
        right, title_b = _settings(b, args.scale, args.variant, args.set), " + ".join([b, *args.variant, *args.set])
    keys = [*left, *(key for key in right if key not in left)]
    differences = [
        {"key": key, "a": left.get(key), "b": right.get(key)} for key in keys if left.get(key) != right.get(key)
    ]
    apart = a.partition("/")[0] != b.partition("/")[0]
    note = "; the rows are of different papers" if apart else ""
    return {"a": title_a, "b": title_b, "scale": args.scale, "differences": differences, "note": note}


def _settings(
    selector: str, scale: Scale, variants: Sequence[str] = (), settings: Sequence[str] = ()
) -> dict[str, Any]:
    """The settings of the measurement that a selector names, as JSON has them."""
    from vtbench.cli.show import plain
    from vtbench.papers.resolve import recipe_at

    row, measurement = _one(selector, variants, settings)
    return {key: plain(value) for key, value in recipe_at(row, measurement, scale).leaves().items()}


def _one(selector: str, variants: Sequence[str], settings: Sequence[str]) -> tuple[Row, str]:
    """The row and the measurement that a selector names."""
    row = one_row(selector, variants, settings)
    if not row.recipes:
        raise UsageError(f"{row.id} only quotes numbers, it has no settings")
    names = list(row.asked_recipes)
    return row, names[0]


def _at_commit(selector: str, scale: Scale, commit: str) -> dict[str, Any]:
    """The settings of a row as the code of a commit of vtbench reads its own files."""
    from vtbench.papers.at_commit import settings_at

    return settings_at(selector, scale, commit)
