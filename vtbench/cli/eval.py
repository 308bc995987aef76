"""`vtbench eval`: a row's test protocol on given weights."""

from __future__ import annotations

import argparse

from vtbench.cli.jobs.machine import add_machine
from vtbench.cli.options import (
    Parser,
    add_changes,
    add_folders,
    add_format,
    add_scale,
    add_selectors,
    selected_rows,
    settings_of,
)
from vtbench.errors import UsageError
from vtbench.files import given_path
from vtbench.report.printing import print_rows, print_text

SUMMARY = "Apply a row's test protocol to given weights"
EXAMPLES = ("vtbench eval pst/table4:pst-t --checkpoint swin_tiny_tps.pth --data kinetics400=/datasets/k400",)


def options(parser: Parser) -> None:
    """SEL, --format, --scale, --set, folders, machine, --checkpoint."""
    add_selectors(parser)
    add_format(parser)
    add_scale(parser, "paper")
    add_changes(parser)
    add_folders(parser)
    add_machine(parser)
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="FILE",
        help="weights: vtbench's, timm's, torchvision's, or those of the official code of a paper",
    )


def call(args: argparse.Namespace) -> int:
    """Test, print one line per measurement, and say what became of the keys of the checkpoint."""
    if not args.selectors:
        raise UsageError("eval needs a selector: the rows whose test protocol is applied")
    from vtbench.run.engine import launched

    if started := launched():
        raise UsageError(f"eval starts its processes itself (--devices); start it without {started.by}")
    rows, settings = selected_rows(args), settings_of(args)
    from vtbench.cli.jobs.display import TerminalDisplay
    from vtbench.results import finished, folders
    from vtbench.run.jobs.evaluate_checkpoint import evaluate_checkpoint

    checkpoint = given_path(args.checkpoint, "--checkpoint")
    records = evaluate_checkpoint(rows, settings, args.scale, checkpoint, TerminalDisplay())
    measured = dict.fromkeys(name for record in records for name in record.all_measured())
    columns = ("id", "measurement", *measured, "videos_expected", "videos_failed", "evaluation_key")
    lines = [{**record.as_dict(), **record.all_measured()} for record in records]
    print_rows(lines, columns, args.format)
    if args.format == "table":
        tested = [folders.evaluation_folder(settings.results, record.evaluation_key) for record in records]
        for loaded in sorted({finished.read_done(folder).get("loaded", "") for folder in tested} - {""}):
            print()
            print_text(f"{args.checkpoint}: {loaded}")
        print()
        print_text(f"tested by the protocol of {args.scale} scale")
    return 0
