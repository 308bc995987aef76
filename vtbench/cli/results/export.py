"""`vtbench results export`: scores of videos and training curves, from the run folders to files beside results.csv."""

from __future__ import annotations

import argparse

from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, add_results, add_selectors, one_of, results_of, seed_list, selected_rows
from vtbench.errors import UsageError, few
from vtbench.report.printing import print_text
from vtbench.scales import smallest_first

SUMMARY = "Write scores of videos and training curves as parquet beside results.csv"
EXAMPLES = ("vtbench results export msca/table2 --scores --scale mini --seeds 0-2",)


def options(parser: Parser) -> None:
    """SEL, --scores, --scale, --seeds, --results."""
    add_selectors(parser)
    parser.add_argument(
        "--scores",
        action="store_true",
        help="the five best classes of every test video, with scores, and the training curves: a file per evaluation "
        "in scores/ and per training run in curves/. Files that are there stay",
    )
    parser.add_argument("--scale", **one_of("scale", smallest_first()), help="only this scale; default: all")
    parser.add_argument("--seeds", type=seed_list, metavar="N,N,...", help="such as 0,1,2 or 0-2; default: all")
    add_results(parser)


def call(args: argparse.Namespace) -> int:
    """Write the files and say how many there are."""
    if not args.scores:
        raise UsageError("results export needs --scores: what is to be exported")
    rows, results = selected_rows(args), results_of(args)
    from vtbench.results.export import export_scores
    from vtbench.results.store import Store

    ids = {row.id for row in rows}
    records = [
        record
        for record in Store(results).read()
        if record.id in ids and args.scale in (None, record.scale) and (args.seeds is None or record.seed in args.seeds)
    ]
    if not records:
        raise UsageError(f"{results / Store.name}: has no lines of these rows; `vtbench run` measures them")
    found = export_scores(results, records)
    if found.without_scores:
        titles = few((record.title for record in found.without_scores), between="; ")
        print_message(
            f"{results}: no scores of {len(found.without_scores)} evaluations, neither in a run folder nor exported: "
            f"{titles}; `vtbench run --test-again` tests them again"
        )
    files = [*found.written, *found.kept]
    if not files:
        return 1
    size = sum(path.stat().st_size for path in files) / 1e6
    counts = f"{len(found.written)} files written, {len(found.kept)} unchanged"
    print_text(f"{counts}, {size:.2f} MB in all: {results}/scores, {results}/curves")
    return 0
