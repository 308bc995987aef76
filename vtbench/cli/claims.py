"""`vtbench claims`: what the papers say about their numbers, and whether printed and measured numbers agree."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vtbench.cli.options import Parser, add_format, add_include, add_results, one_of, results_of
from vtbench.errors import UsageError, unknown
from vtbench.report.columns import in_colour, screen_width
from vtbench.report.printing import aligned, print_json, write
from vtbench.scales import smallest_first

if TYPE_CHECKING:
    from vtbench.report.claims.finding import Judged

SUMMARY = "Judge the papers' claims by their printed numbers and by measured ones"
EXAMPLES = ("vtbench claims", "vtbench claims msca --scale mini", "vtbench claims msca/kv-over-vit")
PAGED = True
VERDICTS = ("supported", "contradicted", "inconclusive", "cannot be tested", "not run", "not printed")


def options(parser: Parser) -> None:
    """PAPER or ID, --scale, --verdict, --results, --format."""
    what = "a paper, or one claim in full as paper/claim; several may be given; default: all papers"
    parser.add_argument("papers", nargs="*", metavar="PAPER|CLAIM", help=what)
    add_include(parser)
    which = "default: every scale for json and csv, those with verdicts for table and md"
    parser.add_argument("--scale", **one_of("scale", smallest_first()), help=f"only this scale; {which}")
    parser.add_argument(
        "--verdict",
        **one_of("verdict", VERDICTS),
        help="only claims of which the printed or the measured numbers give this verdict",
    )
    add_results(parser)
    add_format(parser)


def call(args: argparse.Namespace) -> int:
    """Print the claims."""
    from vtbench.papers import paper_names
    from vtbench.report.claims import text
    from vtbench.report.claims.judge import judge_claims

    asked = [word.partition("/") for word in args.papers]
    papers = list(dict.fromkeys(paper for paper, _, _ in asked)) or paper_names()
    for paper in papers:
        if paper not in paper_names():
            raise UsageError(unknown("paper", paper, paper_names()))
    judged = judge_claims(papers, results_of(args), [args.scale] if args.scale else None)
    named = {f"{paper}/{name}" for paper, slash, name in asked if slash}
    if wrong := sorted(named - {one.claim.id for one in judged}):
        raise UsageError(unknown("claim", wrong[0], [one.claim.id for one in judged]))
    whole = {paper for paper, slash, _ in asked if not slash} or (set() if named else set(papers))
    judged = [one for one in judged if one.claim.paper in whole or one.claim.id in named]
    if args.verdict:
        judged = [one for one in judged if args.verdict in _verdicts(one)]
    if args.format == "json":
        print_json([one.entry() for one in judged])
    elif args.format == "table" and named and not whole:
        for one in judged:
            print(one.claim.id)
            for line in aligned(text.draw_one(one), "  "):
                print(line)
            print()
    elif not judged:
        print("no claims")
    elif args.format == "csv":
        write(text.as_csv(judged))
    elif args.format == "md":
        write(text.as_markdown(judged, args.scale))
    else:
        write(text.draw(judged, args.scale, screen_width(), colour=in_colour()))
    return 0


def _verdicts(one: Judged) -> set[str]:
    return {one.printed.verdict, *(found.verdict for found in one.measured.values())}
