"""`vtbench claims`: what the papers say about their numbers, and whether printed and measured numbers agree."""

from __future__ import annotations

import argparse

from vtbench.cli.options import Parser, add_format, add_include

SUMMARY = "Judge the papers' claims by their printed numbers and by measured ones"


def options(parser: Parser) -> None:
    """PAPER, --format."""
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="papers; default: all")
    add_include(parser)
    add_format(parser)


def call(args: argparse.Namespace) -> int:
    """Print a line for each claim."""
    from vtbench.papers import paper_names
    from vtbench.papers.claims import load_claims
    from vtbench.report.claims.printed import judge_printed
    from vtbench.report.printing import print_rows

    entries = []
    for paper in args.papers or paper_names():
        for claim in load_claims(paper):
            found = judge_printed(claim)
            entries.append(
                {
                    "id": claim.id,
                    "quote": claim.quote,
                    "printed": found.verdict,
                    "values": found.values,
                    "why": found.why,
                }
            )
    print_rows(entries, ("id", "printed", "values", "why"), args.format)
    return 0
