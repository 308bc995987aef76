"""`vtbench decisions`: where a paper contradicts itself or is silent, and what vtbench does about it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vtbench.cli.options import Parser, add_format, add_include
from vtbench.errors import UsageError, unknown
from vtbench.report.printing import plural, print_json, print_rows, print_text

if TYPE_CHECKING:
    from vtbench.papers import Paper

SUMMARY = "Print the decisions: where a paper is silent or contradicts itself, and what is done"
EXAMPLES = ("vtbench decisions laps", "vtbench decisions laps-gpus", "vtbench decisions laps/table1:laps")
PAGED = True


def options(parser: Parser) -> None:
    """PAPER, ID or ROW, --format."""
    what = "a paper, the id of a decision, or rows as elsewhere; several may be given; default: all papers"
    parser.add_argument("selectors", nargs="*", metavar="PAPER|ID|ROW", help=what)
    add_include(parser)
    add_format(parser)


def call(args: argparse.Namespace) -> int:
    """Print one block per decision, or one line."""
    entries = decision_entries(args.selectors)
    if args.format == "json":
        print_json(entries)
    elif args.format == "table":
        for entry in entries:
            print_entry(entry)
        print(plural(len(entries), "decision"))
    else:
        print_rows(entries, ("id", "where", "what", "decision", "why", "variants", "rows"), args.format)
    return 0


def decision_entries(selectors: list[str]) -> list[dict[str, Any]]:
    """The entries of `vtbench decisions --format json`: `id`, `paper`, `where`, `what`, `decision`, `why`, `variants`
    (names for --variant) and `rows` (selectors of the rows that it concerns). Raises UsageError for a name of
    nothing."""
    from vtbench.papers import load_paper, paper_names, select
    from vtbench.papers.decisions import cited, in_short, rows_touched, variants_of_decision
    from vtbench.papers.select import ALL

    wanted: dict[str, set[str]] = {}
    for text in paper_names() if ALL in selectors or not selectors else selectors:
        if text in paper_names():
            wanted.setdefault(text, set()).update(load_paper(text).about.decisions)
        elif "/" in text:
            for row in select([text]):
                wanted.setdefault(row.paper, set()).update(cited(load_paper(row.paper), row))
        else:
            paper = _paper_of(text)
            wanted.setdefault(paper.name, set()).add(text)
    entries = []
    for name, ids in wanted.items():
        paper = load_paper(name)
        touched = rows_touched(paper)
        for key, decision in paper.about.decisions.items():
            if key in ids:
                entries.append(
                    {
                        "id": key,
                        "paper": name,
                        "where": decision.where,
                        "what": decision.what,
                        "decision": decision.decision,
                        "why": decision.why,
                        "variants": variants_of_decision(paper, key),
                        "rows": in_short(touched[key], paper),
                    }
                )
    return entries


def _paper_of(name: str) -> Paper:
    from vtbench.papers import load_all, paper_names

    papers = load_all()
    for paper in papers:
        if name in paper.about.decisions:
            return paper
    known = [*paper_names(), *(decision for paper in papers for decision in paper.about.decisions)]
    raise UsageError(unknown("paper or decision", name, known))


def print_entry(entry: dict[str, Any]) -> None:
    """Print one decision for a reader."""
    print(entry["id"])
    lines = {name: entry[name] for name in ("where", "what", "decision", "why")}
    if entry["variants"]:
        lines["variant"] = ", ".join(f"--variant {name}" for name in entry["variants"])
    lines["rows"] = ", ".join(entry["rows"]) or "none"
    for name, text in lines.items():
        print_text(text.strip(), 12 * " ", f"  {name:<8}  ")
    print()
