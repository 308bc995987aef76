"""`vtbench wandb dashboard`: a workspace and a report of printed and measured numbers."""

from __future__ import annotations

import argparse
import dataclasses

from vtbench.cli.options import (
    Parser,
    add_results,
    add_scale,
    add_selectors,
    add_wandb_place,
    results_of,
    selected_rows,
    wandb_target,
)
from vtbench.files import given_path
from vtbench.report.printing import print_text

SUMMARY = "Make or renew a workspace and a report of printed and measured numbers"
EXAMPLES = (
    "vtbench wandb dashboard --wandb-project ablations",
    "vtbench wandb dashboard msca laps/table1 --scale mini --output dashboard.json",
)


def options(parser: Parser) -> None:
    """SEL, --scale, --output, --results, --wandb-..."""
    add_selectors(parser)
    add_scale(parser, "mini")
    parser.add_argument(
        "--output", metavar="FILE", help="write both as JSON instead, without a login or the network; - for stdout"
    )
    add_results(parser)
    add_wandb_place(parser)


def call(args: argparse.Namespace) -> int:
    """Print where they are."""
    rows, results = selected_rows(args), results_of(args)
    from vtbench.report.wandb.dashboard import publish, sections, specification
    from vtbench.results.folders import replace_file

    found = sections(rows, results, args.scale)
    target = wandb_target(args, "online")
    if args.output == "-":
        print(specification(found, target), end="")
        return 0
    if args.output:
        text = specification(found, target)
        replace_file(given_path(args.output, "--output"), lambda half: half.write_text(text, encoding="utf-8"))
        print_text(f"{args.output}: workspace and report, {len(found)} tables at {args.scale} scale")
        return 0
    from vtbench.report.wandb.session import default_entity, require_login

    require_login(target, "write both to a file with --output FILE")
    if target.entity is None:
        target = dataclasses.replace(target, entity=default_entity())
    for name, url in publish(found, target, results).items():
        print(f"{name}: {url}")
    return 0
