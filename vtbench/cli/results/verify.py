"""`vtbench results verify`: every line of a store against its checksum, its run folders and what its row asks for."""

from __future__ import annotations

import argparse

from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, add_include, add_results, results_of
from vtbench.errors import UsageError, printable

SUMMARY = "Check every line against its checksum, its run folders and the specs"
EXAMPLES = ("vtbench results verify", "vtbench results verify --results here")


def options(parser: Parser) -> None:
    """--include, --results."""
    add_include(parser)
    add_results(parser)


def call(args: argparse.Namespace) -> int:
    """Print what is wrong, one line each, and what was checked; 1 if anything is wrong."""
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
    return 1 if found.wrong else 0
