"""`vtbench data prepare`: re-encode a folder of videos for methods that read compressed video."""

from __future__ import annotations

import argparse

from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, positive
from vtbench.errors import UsageError

SUMMARY = "Re-encode the videos of a folder"


def options(parser: Parser) -> None:
    """SOURCE TARGET, --mpeg4, --workers."""
    parser.add_argument("source", metavar="SOURCE", help="folder of videos, with or without split files (path,label)")
    parser.add_argument("target", metavar="TARGET", help="folder for the new videos and split files")
    parser.add_argument(
        "--mpeg4",
        action="store_true",
        help="encode as MPEG-4, 340 x 256, an I-frame every 12 frames, no B-frames (required: there is no other)",
    )
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="parallel processes; default: 1")


def call(args: argparse.Namespace) -> int:
    """Re-encode, and print how many videos were done; resumes if interrupted."""
    if not args.mpeg4:
        raise UsageError("data prepare needs --mpeg4, the only encoding it knows")
    from vtbench.datasets.reencode import reencode_mpeg4

    done = reencode_mpeg4(args.source, args.target, workers=args.workers, report=print_message)
    print(f"{done.encoded} videos encoded, {done.kept} already there, {len(done.failed)} failed")
    for manifest in done.manifests:
        print(f"split file written: {manifest}")
    return 1 if done.failed else 0
