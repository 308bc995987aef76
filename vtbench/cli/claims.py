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
    from collections.abc import Sequence

    from vtbench.report.claims.finding import Judged

SUMMARY = "Judge the papers' claims by their printed numbers and by measured ones"
EXAMPLES = (
    "vtbench claims",
    "vtbench claims msca --scale mini",
    "vtbench claims msca/table2:vit",
    "vtbench claims msca/kv-over-vit",
)
PAGED = True
VERDICTS = ("supported", "contradicted", "inconclusive", "cannot be tested", "not run", "not printed")


def options(parser: Parser) -> None:
    """SELECTOR or CLAIM, --scale, --verdict, --results, --format."""
    what = "a paper, a table or a row, or one claim in full as paper/claim; several may be given; default: all papers"
    parser.add_argument("names", nargs="*", metavar="SELECTOR|CLAIM", help=what)
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
    from vtbench.report.claims import text
    from vtbench.report.claims.judge import judge_claims

    named, rows = _asked(args.names)
    # Holm's correction is over all claims of a paper, whichever are asked for
    papers = list(dict.fromkeys(name.partition("/")[0] for name in [*named, *rows]))
    judged = judge_claims(papers, results_of(args), [args.scale] if args.scale else None)
    judged = [one for one in judged if one.claim.id in named or any(row.id in rows for row in one.claim.rows)]
    if args.verdict:
        judged = [one for one in judged if args.verdict in _verdicts(one)]
    if args.format == "json":
        print_json([one.entry() for one in judged])
    elif args.format == "table" and named and not rows:
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


def _asked(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ids of the claims that are asked for one by one, and of the rows about which all are."""
    from vtbench.papers import load_paper, paper_names, select
    from vtbench.papers.claims import load_claims
    from vtbench.papers.selector import Selector

    claims: list[str] = []
    selectors: list[str] = []
    for name in names:
        selector = Selector.parse(name)
        if selector.measurement is not None:
            raise UsageError(f"claims are about rows; leave out '@{selector.measurement}' of '{name}'")
        known = [one.id for one in load_claims(selector.paper)] if selector.paper in paper_names() else []
        tables = [f"{selector.paper}/{table.name}" for table in load_paper(selector.paper).tables] if known else []
        if name in known:
            claims.append(name)
        elif selector.table is not None and selector.row is None and known and name not in tables:
            raise UsageError(unknown("claim or table", name, [*known, *tables]))
        else:
            selectors.append(name)
    return claims, [row.id for row in select(selectors)] if selectors or not names else []


def _verdicts(one: Judged) -> set[str]:
    return {one.printed.verdict, *(found.verdict for found in one.measured.values())}
