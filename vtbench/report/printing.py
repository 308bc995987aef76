"""Rows of plain values as an aligned table, JSON, CSV or Markdown."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

FORMATS = ("table", "json", "csv", "md")


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], form: str) -> None:
    """Print `rows` to stdout: all of them as one JSON array, or their `columns` in one of the other FORMATS."""
    if form == "json":
        print_json(rows)
        return
    cells = [[cell_text(row.get(column)) for column in columns] for row in rows]
    if form == "csv":
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(cells)
    elif form == "md":
        escaped = [[cell.replace("|", "\\|") for cell in line] for line in cells]
        for line in ([*columns], ["---"] * len(columns), *escaped):
            print("| " + " | ".join(line) + " |")
    else:
        widths = [max(len(line[i]) for line in ([*columns], *cells)) for i in range(len(columns))]
        for line in ([*columns], *cells):
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_json(value: Any) -> None:
    """Print plain values as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def setting_text(value: Any) -> str:
    """A setting of a recipe: lists in brackets, a pretraining in words, what is not there as "not set"."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(cell_text, value))}]"
    if isinstance(value, dict):  # a pretraining; the rest of it is in the recipe of what is started from
        return f"{value['model']} on {value['dataset']}"
    return cell_text(value) or "not set"


def cell_text(value: Any) -> str:
    """A value in one cell: lists joined by blanks, nothing for None, numbers at six digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {cell_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return " ".join(cell_text(inner) for inner in value)
    return str(value)
