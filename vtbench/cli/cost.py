"""`vtbench cost`: parameters and multiply-adds of each row's network, counted without weights, data or a GPU."""

from __future__ import annotations

import argparse
from typing import Any

from vtbench.cli.options import (
    Parser,
    add_changes,
    add_format,
    add_results,
    add_scale,
    add_selectors,
    selected_rows,
    settings_of,
)
from vtbench.errors import UsageError
from vtbench.report.printing import plural, print_json, print_rows, print_text

SUMMARY = "Count parameters and multiply-adds of each row's network"
EXAMPLES = ("vtbench cost laps/table1", "vtbench cost pst --scale mini --format csv", "vtbench cost --record")
PAGED = True


def options(parser: Parser) -> None:
    """SEL, --format, --scale, --set."""
    add_selectors(parser)
    add_format(parser)
    add_scale(parser, "paper")
    add_changes(parser)
    parser.add_argument(
        "--record",
        action="store_true",
        help="count at every scale, and write cost.csv of the results folder, which plan, report, list and show read",
    )
    add_results(parser)


def call(args: argparse.Namespace) -> int:
    """Print one line per row with a network, and one per row that prints how its attention grows."""
    rows = selected_rows(args)
    from vtbench.run.measuring import cost

    if args.record:
        if args.set or args.variant:
            raise UsageError("--record is of the rows as they stand; leave out --set and --variant")
        results = settings_of(args).results
        networks, lines = cost.record_costs(rows, results)
        print(f"{networks} networks counted; {results / 'cost.csv'} has {lines} lines")
        return 0
    entries, growths = cost.cost(rows, args.scale), cost.complexity(rows)
    if args.format == "json":
        print_json(entries + growths)
        return 0
    if entries or not growths:
        columns = ("id", "params_m", "gmacs fvcore", "gmacs matmul", "gmacs thop", "printed")
        print_rows([_line(entry) for entry in entries], columns, args.format, hide=("gmacs thop", "gmacs matmul"))
    if growths:
        if args.format == "table":
            print("\n" * bool(entries), end="")
            print_text("pairs of tokens that attend to each other, N places in T frames, fitted to counted MACs:")
        print_rows(growths, ("id", "attention", "measured", "printed"), args.format)
    if args.format == "table":
        print()
        changed = f", with --set {' '.join(args.set)}; the printed cells are those of the rows as they are"
        print_text(
            f"{plural(len(entries), 'network')} counted at {args.scale} scale; params_m: millions; gmacs: 1e9 "
            f"multiply-adds of one clip{changed if args.set else ''}"
        )
    return 0


def _line(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of run.cost.cost as one line of a table."""
    return {
        "id": entry["id"],
        "params_m": f"{entry['params_m']:.4f}",
        **{f"gmacs {name}": f"{value:.4f}" for name, value in entry["gmacs"].items()},
        "printed": {
            name: f"{cell['printed']} ({cell['convention'] if cell['agrees'] else 'no convention agrees'})"
            for name, cell in entry["cells"].items()
        },
    }
