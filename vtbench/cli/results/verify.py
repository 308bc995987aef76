"""`vtbench results verify`: every line of a store against its checksum, its run folders and what its row asks for."""

from __future__ import annotations

import argparse
import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path

from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, add_include, add_results, results_of
from vtbench.errors import UsageError, printable

SUMMARY = "Check every line against its checksum, its run folders and the specs"
EXAMPLES = ("vtbench results verify", "vtbench results verify --results here")

MOST_RANGES = 20
"""Of lines that are deleted by one command: messages shorten words of more than 400 characters."""


def options(parser: Parser) -> None:
    """--include, --results."""
    add_include(parser)
    add_results(parser)


def call(args: argparse.Namespace) -> int:
    """Print what is wrong, one line each, what was checked, and how to delete lines that are wrong; 1 if anything is
    wrong."""
    from vtbench.papers.asked import asked
    from vtbench.report.printing import plural
    from vtbench.results.record import Record
    from vtbench.results.verify import verify

    def keys(line: Record) -> tuple[str, str] | None:
        found = asked(line.id, line.variant, line.measurement, line.scale, line.seed)
        return None if found is None else (found.training.key, found.key)

    results = results_of(args)
    found = verify(results, keys)
    if not any(found.lines.values()):
        raise UsageError(f"{results}: has no results; `vtbench run` measures some, --results DIR names their folder")
    for text in found.wrong:
        print_message(text)
    counts = ", ".join(f"{plural(count, 'line')} of {name}" for name, count in found.lines.items())
    files = plural(found.hashed, "file")
    print(printable(f"{results}: {counts}, {files} of weights: {len(found.wrong) or 'nothing'} wrong"))
    for what, count in found.counts.items():
        print(f"{plural(count, 'line')} {what}")
    for store, numbers in found.useless:
        print_message(f"{_deletion(store.path, numbers)}; then run again: {store.words.recovery}")
    return 1 if found.wrong else 0


def _deletion(path: Path, numbers: Sequence[int]) -> str:
    """The command that deletes lines of a file, all in one go: when one is gone, those below it have other numbers."""
    by_range = itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ranges = [[number for _, number in pairs] for _, pairs in by_range]
    script = ";".join(f"{some[0]},{some[-1]}d" if some[1:] else f"{some[0]}d" for some in ranges[:MOST_RANGES])
    later = sum(map(len, ranges[MOST_RANGES:]))
    name = path.resolve() if path.is_symlink() else path  # sed -i would put a file in place of a link
    again = f" ({later} more when you verify again)" if later else ""
    return f"to delete what is wrong{again}: sed -i '{script}' {shlex.quote(str(name))}"
