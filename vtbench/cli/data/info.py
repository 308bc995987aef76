"""`vtbench data info`: what a video file is, and what the readers make of it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, one_of
from vtbench.errors import VideoError, printable
from vtbench.report.printing import aligned, print_json

if TYPE_CHECKING:
    from vtbench.datasets.check.info import VideoInfo

SUMMARY = "Say what video files are and how they will be read"
EXAMPLES = ("vtbench data info video.mp4 --format json",)
PAGED = True


def options(parser: Parser) -> None:
    """FILE ..., --format."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a video file; several may be given")
    formats = one_of("format", ("text", "json"))
    parser.add_argument("--format", **formats, default="text", help="output format; default: text")


def call(args: argparse.Namespace) -> int:
    """Print what each file is. One that cannot be read is one line on stderr, and the exit code is 2."""
    from vtbench.datasets.check.info import read_info

    found: list[dict[str, Any]] = []
    failed = False
    for file in args.files:
        try:
            info = read_info(file)
        except VideoError as error:
            failed = True
            print_message(str(error))
            found.append({"file": file, "error": error.reason})
            continue
        found.append(dataclasses.asdict(info))
        if args.format == "text":
            for line in info_lines(info):
                print(line)
    if args.format == "json":
        print_json(found)
    return 2 if failed else 0


def info_lines(info: VideoInfo) -> Iterator[str]:
    """What `vtbench data info` prints of one file."""
    yield printable(info.file)
    lines = (
        ("container", _container(info)),
        ("video", _video(info)),
        ("frames", f"{info.num_frames}, all decoded"),
        ("reading", "by index" if info.reading.by_index else f"from the start: {info.reading.why_sequential}"),
        ("groups", _groups(info)),
        ("compressed", "can be read" if info.compressed.readable else f"no: {info.compressed.why_not}"),
        ("audio", _audio(info)),
        ("prepared", _prepared(info)),
    )
    yield from aligned([(name, printable(text)) for name, text in lines], "  ")


def _container(info: VideoInfo) -> str:
    container = info.container
    times = _lasting(container.start_s, container.duration_s)
    return f"{container.format}; {container.num_bytes} bytes; {times}; {', '.join(container.streams)}"


def _lasting(start_s: float | None, duration_s: float | None) -> str:
    start = "start not stated" if start_s is None else f"from {start_s:.3f} s"
    return f"{start}, length not stated" if duration_s is None else f"{start}, {duration_s:.3f} s long"


def _video(info: VideoInfo) -> str:
    video = info.video
    parts = [f"{video.codec} ({video.profile})" if video.profile else video.codec]
    size = f"{video.width} x {video.height}"
    if video.transposed or video.flip_x or video.flip_y:
        asked = {"transposed": video.transposed, "left-right": video.flip_x, "top-bottom": video.flip_y}
        how = ", ".join(name for name, done in asked.items() if done)
        size += f", shown as {video.shown_width} x {video.shown_height} ({how})"
    parts.append(size)
    colour = f"{video.colorspace or 'no matrix stated'}, {video.color_range or 'no range stated'}"
    parts.append(f"{video.pixel_format}, {colour}{', interlaced' if video.interlaced else ''}")
    parts.append("no rate stated" if video.rate is None else f"{video.rate:.6g} frames/s on average")
    return "; ".join([*parts, _lasting(video.start_s, video.duration_s)])


def _groups(info: VideoInfo) -> str:
    groups = info.groups
    length = f"{groups.longest}" if groups.shortest == groups.longest else f"{groups.shortest} to {groups.longest}"
    counts = {"I": groups.i_frames, "P": groups.p_frames, "B": groups.b_frames, "other": groups.other_frames}
    frames = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    closed = {True: "closed", False: "open", None: "order not stated"}[groups.closed]
    return f"{groups.i_frames} of {length} frames ({frames}); {closed}; decoding may begin at {groups.starts} of them"


def _audio(info: VideoInfo) -> str:
    audio = info.audio
    if audio is None:
        return "no track"
    about = f"{audio.codec or 'codec unknown'}, {audio.rate_hz} Hz, {audio.channels} channels"
    if audio.why_not is not None:
        return f"{about}; cannot be read: {audio.why_not}"
    if audio.empty:
        return f"{audio.codec}, announced and empty"
    span = f"{audio.start_s:.3f} to {audio.end_s:.3f} s after the first frame"
    return f"{about}; {span}; {audio.damaged_packets} damaged packets"


def _prepared(info: VideoInfo) -> str:
    if info.prepared is None:
        return "not by vtbench data prepare"
    recipe = info.prepared.made_of.rpartition(" source=")[0]
    return f"{recipe}{'' if info.prepared.unchanged else '; changed since'}"
