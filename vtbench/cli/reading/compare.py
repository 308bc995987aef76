"""`vtbench compare`: two measurements against each other, video by video."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vtbench.cli.options import (
    Parser,
    add_changes,
    add_format,
    add_include,
    add_scale,
    different_seeds,
    one_row,
    results_of,
)
from vtbench.errors import UsageError
from vtbench.report.printing import print_json, print_rows, print_text

if TYPE_CHECKING:
    from vtbench.report.predictions.pair import Pair

SUMMARY = "Compare two results video by video: won and lost, McNemar, interval, classes"
EXAMPLES = (
    "vtbench compare msca/table2:msca-kv msca/table2:vit",
    "vtbench compare msca/table2:msca-kv msca/table2:vit --seeds 0-2 --videos",
    "vtbench compare pst/table3:pst-t-in1k-1x1@sthv2 --results here --results there",
    "vtbench compare msca/table2:msca-kv --commit 2c4df54",
    "vtbench compare msca/table2:msca-kv --seeds 0 --seeds 1",
)
PAGED = True
FIRST = 10
"""Videos that are listed of each kind without --videos, and classes."""


def options(parser: Parser) -> None:
    """A, B, --format, --scale, --seeds, --results, --commit, --variant, --set, --videos."""
    one = "a row as paper/table:row, with @measurement where it has several"
    parser.add_argument("a", metavar="A", help=one)
    parser.add_argument("b", metavar="B", nargs="?", help="another; A itself if left out")
    add_include(parser)
    add_format(parser)
    add_scale(parser, "mini")
    twice = "given twice, the first is A's and the second B's"
    parser.add_argument(
        "--seeds",
        type=different_seeds,
        action="append",
        default=[],
        metavar="N,N,...",
        help=f"such as 0,1,2 or 0-2; {twice}, which are paired in this order; default: those that both have",
    )
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="DIR",
        help=f"folder of results.csv and the run folders; {twice}; default: results",
    )
    parser.add_argument(
        "--commit",
        action="append",
        default=[],
        metavar="COMMIT",
        help="A by the newest lines that this commit of vtbench wrote, of an older spec too; given twice, also B",
    )
    add_changes(parser)
    parser.add_argument("--videos", action="store_true", help=f"list all videos and classes, not only {FIRST}")


def call(args: argparse.Namespace) -> int:
    """Print the comparison."""
    found = _pair(args)
    if args.format == "json":
        print_json(found.entry())
    elif args.format == "csv":
        lines = _lines(found)
        print_rows(lines, tuple(lines[0]), "csv")
    else:
        _print(found, args.format, None if args.videos else FIRST)
    return 0


def _pair(args: argparse.Namespace) -> Pair:
    for option in ("seeds", "results", "commit"):
        if len(getattr(args, option)) > 2:
            raise UsageError(f"--{option}: at most two, of A and of B")
    if not all(args.commit):
        raise UsageError("--commit '': names no commit; give the beginning of one, as 2c4df54")
    changed = bool(args.variant or args.set)
    if args.b is None and not (changed or args.commit or len(args.results) > 1 or len(args.seeds) > 1):
        raise UsageError(
            "compare needs a second row, or --variant, --set, --commit, or --results or --seeds given twice; see "
            "vtbench compare --help"
        )
    from vtbench.report.predictions.pair import pair, side

    a, b = one_row(args.a), one_row(args.b or args.a, args.variant, args.set)
    first, second = _both(args.results, None)
    folders = [results_of(argparse.Namespace(results=folder)) for folder in (first, second)]
    seeds = _both(args.seeds, None)
    commits = [*args.commit, None, None][:2]
    sides = [
        side(row, args.scale, folder, seeds=of, commit=commit)
        for row, folder, of, commit in zip((a, b), folders, seeds, commits, strict=True)
    ]
    return pair(*sides, matched=len(args.seeds) > 1)


def _both(given: Sequence[Any], default: Any) -> tuple[Any, Any]:
    """What was given for A and for B."""
    return (given[0], given[-1]) if given else (default, default)


# ---- drawn -----------------------------------------------------------------------------------------------------------


def _print(found: Pair, form: str, most: int | None) -> None:
    first = "- " if form == "md" else ""
    for name, one in (("A", found.a), ("B", found.b)):
        seeds = ", ".join(str(record.seed) for record in one.records)
        print_text(f"{name}: {one.title}, seed {seeds}", first=first)
    low, high = found.interval
    how = "paired over the videos" if found.unpaired is None else f"unpaired: {found.unpaired}"
    print()
    print_text(f"A - B: {found.difference:+.2f} points top-1, 95 % interval {low:+.2f} to {high:+.2f}, {how}")
    print()
    by_seed = [
        {
            "seed": str(one.seed_a) if one.seed_a == one.seed_b else f"{one.seed_a} / {one.seed_b}",
            "A": f"{one.a:.2f}",
            "B": f"{one.b:.2f}",
            "A - B": f"{one.difference:+.2f}",
            "won": one.won,
            "lost": one.lost,
            "both right": one.both,
            "both wrong": one.neither,
            "McNemar p": None if one.p is None else f"{one.p:.2g}",
        }
        for one in found.seeds
    ]
    columns = tuple(by_seed[0])
    print_rows(by_seed, columns if found.unpaired is None else columns[:4], form, hide=("both wrong", "both right"))
    if found.classes:
        print(f"\nBy class, largest difference first{_more(len(found.classes), most)}\n")
        by_class = [
            {
                "class": one.name,
                "videos": one.videos,
                "A": f"{one.a:.1f}",
                "B": f"{one.b:.1f}",
                "A - B": f"{one.difference:+.1f}",
            }
            for one in found.classes[:most]
        ]
        print_rows(by_class, tuple(by_class[0]), form)
    for outcome in ("won", "lost"):
        videos = [one for one in found.videos if one.outcome == outcome]
        if not videos:
            continue
        print(f"\n{len(videos)} videos {outcome} by A{_more(len(videos), most)}\n")
        by_video = [
            {
                "video": one.video,
                "class": one.label,
                "A right": f"{one.a_right}/{len(one.a)}",
                "B right": f"{one.b_right}/{len(one.b)}",
                "A says": _said(one.a),
                "B says": _said(one.b),
            }
            for one in videos[:most]
        ]
        print_rows(by_video, tuple(by_video[0]), form, hide=("A right", "B right"))
    notes = list(found.notes)
    if found.unpaired is None:
        notes.append("p: McNemar's exact test, of each seed alone; the interval is over seeds and videos")
    print()
    for note in notes:
        print_text(note, first=first)


def _said(guesses: Sequence[str | None]) -> str:
    return ", ".join(dict.fromkeys(guess or "unreadable" for guess in guesses))


def _more(count: int, most: int | None) -> str:
    return f" (the first {most}; --videos lists all {count})" if most is not None and count > most else ""


def _lines(found: Pair) -> list[dict[str, Any]]:
    """One CSV: a line for the whole, then for each seed, class and video, as `part` says."""
    empty = dict.fromkeys(
        ("part", "name", "videos", "a", "b", "difference", "low", "high", "won", "lost", "p", "class", "outcome")
    )
    a, b = found.a.entry(), found.b.entry()
    low, high = found.interval
    whole = {"a": a["top1"], "b": b["top1"], "difference": found.difference, "low": low, "high": high}
    lines = [{**empty, "part": "all", "name": "top1", "videos": found.a.records[0].videos_expected, **whole}]
    for one in found.seeds:
        numbers = {"a": one.a, "b": one.b, "difference": one.difference, "won": one.won, "lost": one.lost, "p": one.p}
        lines.append({**empty, "part": "seed", "name": f"{one.seed_a}/{one.seed_b}", **numbers})
    for c in found.classes:
        numbers = {"videos": c.videos, "a": c.a, "b": c.b, "difference": c.difference}
        lines.append({**empty, "part": "class", "name": c.name, **numbers})
    for v in found.videos:
        numbers = {"a": v.a_right, "b": v.b_right, "difference": v.a_right - v.b_right}
        lines.append({**empty, "part": "video", "name": v.video, **numbers, "class": v.label, "outcome": v.outcome})
    return lines
