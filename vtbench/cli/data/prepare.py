"""`vtbench data prepare`: re-encode a folder of videos, once, for quick and exact reading."""

from __future__ import annotations

import argparse

from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, one_of, positive, whole_number
from vtbench.errors import UsageError
from vtbench.files import given_path
from vtbench.report.printing import print_text

SUMMARY = "Re-encode the videos of a folder for quick and exact reading"
EXAMPLES = (
    "vtbench data prepare /datasets/k400 /datasets/k400-256 --short-side 256 --workers 8",
    "vtbench data prepare /datasets/ucf101 /datasets/ucf101-mpeg4 --encoding mpeg4",
)


def options(parser: Parser) -> None:
    """SOURCE TARGET, --encoding, --short-side, --crf, --workers."""
    parser.add_argument("source", metavar="SOURCE", help="folder of videos, with its split files and annotations")
    parser.add_argument("target", metavar="TARGET", help="folder for the new videos, split files and annotations")
    parser.add_argument(
        "--encoding",
        **one_of("encoding", ("h264", "mpeg4")),
        help="h264: H.264 in closed groups of 12 frames; mpeg4, for compressed input: MPEG-4, 340 x 256, an I-frame "
        "every 12 frames, no B-frames; default: h264",
    )
    parser.add_argument("--mpeg4", action="store_const", const="mpeg4", dest="encoding", help="as --encoding mpeg4")
    parser.add_argument(
        "--short-side",
        type=positive,
        metavar="PIXELS",
        help="scale larger pictures down to this short side, an even number; h264 only; default: they keep their size",
    )
    parser.add_argument(
        "--crf",
        type=whole_number,
        metavar="N",
        help="quality of h264, 0 (lossless) to 51, the lower the better; default: 18",
    )
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="parallel processes; default: 1")


def call(args: argparse.Namespace) -> int:
    """Re-encode, and print how many videos were done; resumes if interrupted."""
    if args.encoding == "mpeg4" and (args.short_side is not None or args.crf is not None):
        option = "--short-side" if args.short_side is not None else "--crf"
        raise UsageError(f"{option} is of h264; mpeg4 is always 340 x 256 at quantiser 1, as compressed input needs it")
    from vtbench.datasets.prepare import H264, Mpeg4, prepare

    source, target = given_path(args.source, "SOURCE"), given_path(args.target, "TARGET")
    try:
        given = {"crf": args.crf, "short_side": args.short_side}
        given = {name: value for name, value in given.items() if value is not None}
        encoding = Mpeg4() if args.encoding == "mpeg4" else H264(**given)
    except ValueError as error:
        raise UsageError(f"data prepare: {error}") from error
    done = prepare(source, target, encoding=encoding, workers=args.workers, report=print_message)
    print(f"{done.encoded} videos encoded, {done.kept} already there, {len(done.failed)} failed")
    for manifest in done.manifests:
        print_text(f"split file written: {manifest}")
    for copy in done.copied:
        print_text(f"copied: {copy}")
    return 1 if done.failed else 0
