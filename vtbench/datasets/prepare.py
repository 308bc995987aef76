"""Re-encode a folder of videos to what compressed-video methods read: MPEG-4 part 2 with short GOPs and no B-frames.

The recipe is CoViAR's (https://github.com/chaoyuaw/pytorch-coviar, data/reencode.sh): 340 x 256, quantiser 1, an
I-frame every 12. Two things differ. The container is mp4 rather than a raw stream: it has room for the sound and an
index of its packets, so that a GOP is found without decoding what precedes it. And no I-frames are put in at scene
changes, so that every GOP but the last has the same length.
"""

from __future__ import annotations

import csv
import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vtbench.errors import DataError, VideoError
from vtbench.video.compressed import CompressedReader
from vtbench.video.decode import VideoReader

__all__ = ["Prepared", "prepare_mpeg4"]

# More than the data sets are read from: what people have, and what FFmpeg tells apart by content anyway.
SOURCE_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp", ".ogv"),
    *(".h264", ".264", ".hevc"),
)

# Times are kept to 1/60000 s, which is exact for all common frame rates; MPEG-4 allows up to 1/65535 s.
_TICKS = 60000

_LINE_EVERY = 30.0  # seconds between two lines of progress


@dataclass
class Prepared:
    """What `prepare_mpeg4` did. encoded, kept: files written now, and found finished. failed: one line per source file
    that could not be re-encoded. manifests: the lists written."""

    encoded: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)
    manifests: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class _Recipe:
    size: tuple[int, int]
    gop: int
    quantiser: int

    @property
    def comment(self) -> str:
        """Written into each file, so that files of another recipe are not taken for finished."""
        return f"vtbench mpeg4 {self.size[0]}x{self.size[1]} gop={self.gop} quantiser={self.quantiser}"


def prepare_mpeg4(
    source: str | Path,
    target: str | Path,
    *,
    size: tuple[int, int] = (340, 256),
    gop: int = 12,
    quantiser: int = 1,
    workers: int = 1,
    tell: Callable[[str], None] = print,
) -> Prepared:
    """Re-encode every video below `source` to the same relative path below `target`, with the suffix .mp4.

    size: width and height in pixels, even; pictures are stretched to it, after the display rotation of the file. gop:
    frames from one I-frame to the next. quantiser: 1 (best) to 31. Sound is copied where mp4 can hold it, else encoded
    as AAC. Lists below `source` (*.csv with the header path,label) are rewritten to the new names; their lines for
    videos that failed stay, and are missed when the data set is read.

    A file is written under another name, checked (as many frames as the source decodes to, an I-frame every `gop`,
    vectors there) and then renamed; a finished file of the same recipe is not done again. `workers` processes share the
    files. `tell` gets one line per file that fails, and how far it is twice a minute. Raises DataError for folders that
    cannot be used, ValueError for numbers out of range.
    """
    if size[0] < 16 or size[1] < 16 or size[0] % 2 or size[1] % 2:
        raise ValueError(f"size {size[0]} x {size[1]} must be even, at least 16 x 16")
    if not 1 <= quantiser <= 31 or gop < 2:
        raise ValueError(f"quantiser {quantiser} must be 1 to 31, gop {gop} at least 2")
    source, target = Path(source), Path(target)
    jobs = _jobs(source, target)
    recipe, result = _Recipe(size, gop, quantiser), Prepared()
    told = time.monotonic()
    for count, (file, outcome) in enumerate(_outcomes(jobs, recipe, workers), 1):
        if outcome == "encoded":
            result.encoded += 1
        elif outcome == "kept":
            result.kept += 1
        else:
            result.failed.append(outcome)
            tell(outcome)
        if time.monotonic() - told > _LINE_EVERY:
            told = time.monotonic()
            tell(f"{count} of {len(jobs)} videos, now {file}")
    result.manifests = _rewrite_manifests(source, target, dict(jobs))
    return result


def _jobs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """(video, file to write) of all videos below `source`, sorted."""
    if not source.is_dir():
        raise DataError(f"{source}: no such folder of videos")
    if target.resolve().is_relative_to(source.resolve()) or source.resolve().is_relative_to(target.resolve()):
        raise DataError(f"{target}: lies within {source} or around it; give a folder beside it")
    files = sorted(p for p in source.rglob("*") if p.suffix.lower() in SOURCE_SUFFIXES and p.is_file())
    if not files:
        raise DataError(f"{source}: has no videos ({', '.join(SOURCE_SUFFIXES)})")
    jobs = [(file, target / file.relative_to(source).with_suffix(".mp4")) for file in files]
    first: dict[Path, Path] = {}
    for file, new in jobs:
        if new in first:
            raise DataError(f"{file}: would become {new}, as {first[new]} does; rename one of them")
        first[new] = file
    return jobs


def _outcomes(jobs: list[tuple[Path, Path]], recipe: _Recipe, workers: int) -> Iterator[tuple[Path, str]]:
    """(video, "encoded", "kept" or why it failed), in the order they end."""
    if workers <= 1:
        for file, new in jobs:
            yield file, _prepare(file, new, recipe)
        return
    # Not forked: FFmpeg's and numpy's threads would not survive it.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_prepare, file, new, recipe): file for file, new in jobs}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(file: Path, new: Path, recipe: _Recipe) -> str:
    if _is_finished(new, recipe):
        return "kept"
    part = new.with_name(new.name + ".part")
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        count = _encode(file, part, recipe)
        _check(part, count, recipe)
        part.replace(new)
    except VideoError as error:
        return str(error)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        return f"{file}: cannot be re-encoded to {new}: {error}"
    finally:
        part.unlink(missing_ok=True)
    return "encoded"


def _is_finished(new: Path, recipe: _Recipe) -> bool:
    if not new.is_file():
        return False
    try:
        with av.open(str(new), metadata_errors="ignore") as container:
            return container.metadata.get("comment") == recipe.comment
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def _encode(file: Path, part: Path, recipe: _Recipe) -> int:
    """Write `part` and return how many frames the source has, which is how many were encoded."""
    with (
        VideoReader(file) as reader,
        av.open(str(file), metadata_errors="ignore") as with_sound,
        av.open(str(part), "w", format="mp4") as out,
    ):
        out.metadata["comment"] = recipe.comment
        rate = with_sound.streams.video[0].average_rate or Fraction(25)
        stream = _add_video(out, recipe, rate)
        begin = (with_sound.start_time or 0) / av.time_base
        sound = _sound(with_sound, out, begin)
        upcoming = next(sound, None)
        count, last = 0, -1
        for frame in reader.sequential():
            at = count / rate if frame.time is None else frame.time - begin
            last = max(last + 1, round(at * _TICKS))
            picture = _scaled(frame, recipe.size)
            picture.pts, picture.time_base = last, Fraction(1, _TICKS)
            out.mux(stream.encode(picture))
            count += 1
            while upcoming is not None and upcoming[0] <= at:
                out.mux(upcoming[1])
                upcoming = next(sound, None)
        out.mux(stream.encode(None))
        for _, packet in itertools.chain([] if upcoming is None else [upcoming], sound):
            out.mux(packet)
        if count != reader.num_frames:
            raise VideoError(file, f"{count} of {reader.num_frames} frames decode", count)
    if count < 2:
        raise VideoError(file, "has a single frame, and so no motion; take it out", count)
    return count


def _add_video(out: av.container.OutputContainer, recipe: _Recipe, rate: Fraction) -> av.VideoStream:
    # A fixed quantiser, as `-q:v` of the ffmpeg program, which sets it frame by frame: no range is left to choose from.
    quantiser, trade_off = str(recipe.quantiser), str(118 * recipe.quantiser)  # FFmpeg's FF_QP2LAMBDA is 118
    options = {
        "g": str(recipe.gop),
        "bf": "0",
        "qmin": quantiser,
        "qmax": quantiser,
        "lmin": trade_off,
        "lmax": trade_off,
        "sc_threshold": "1000000000",  # no I-frames at scene changes
    }
    stream = out.add_stream("mpeg4", rate=rate, options=options)
    stream.width, stream.height = recipe.size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, _TICKS)
    stream.codec_context.thread_count = 1
    return stream


def _scaled(frame: av.VideoFrame, size: tuple[int, int]) -> av.VideoFrame:
    """The frame as displayed, stretched to `size`, without its type: the encoder decides on I and P anew."""
    turns = round(frame.rotation / 90) % 4
    width, height = size if turns % 2 == 0 else size[::-1]
    scaled = frame.reformat(width=width, height=height, format="yuv420p", interpolation="BICUBIC", threads=1)
    planes = scaled.to_ndarray()  # (3 H / 2, W): H lines of Y, then U and V with half the lines of half the width
    if turns:
        half = (height // 2, width // 2)
        parts = [planes[:height], *planes[height:].reshape(2, *half)]
        turned = [np.rot90(part, turns).reshape(-1, size[0]) for part in parts]
        planes = np.concatenate(turned)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")


def _sound(
    container: av.container.InputContainer, out: av.container.OutputContainer, begin: float
) -> Iterator[tuple[float, av.Packet | list[av.Packet]]]:
    """(seconds from the start of the file, packets) of the first sound track in order, for a stream added to `out`."""
    if not container.streams.audio:
        return iter(())
    stream = container.streams.audio[0]
    if stream.codec_context.codec.canonical_name in out.supported_codecs:
        return _copied(container, stream, out.add_stream_from_template(stream), begin)
    rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout.name
    return _encoded(container, stream, out.add_stream("aac", rate=rate, layout=layout), begin)


def _copied(
    container: av.container.InputContainer, stream: av.AudioStream, copy: av.AudioStream, begin: float
) -> Iterator[tuple[float, av.Packet]]:
    shift = round(begin / stream.time_base)
    for packet in container.demux(stream):
        if packet.dts is None or packet.pts is None:
            continue
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        at = float(packet.pts * stream.time_base)
        packet.stream = copy
        yield at, packet


def _encoded(
    container: av.container.InputContainer, stream: av.AudioStream, new: av.AudioStream, begin: float
) -> Iterator[tuple[float, list[av.Packet]]]:
    at = 0.0
    for frame in container.decode(stream):
        if frame.pts is not None:
            at = frame.time - begin
            frame.pts = round(at / frame.time_base)
        yield at, new.encode(frame)
    yield at, new.encode(None)


def _check(part: Path, count: int, recipe: _Recipe) -> None:
    """Read back what was written. Raises VideoError if it is not what compressed-video methods need."""
    with CompressedReader(part, max_gop=recipe.gop) as reader:
        decoded = sum(1 for _ in reader.sequential())
        if decoded != count:
            raise VideoError(part, f"{decoded} frames were written of {count}", decoded)
        expected = [(first, min(first + recipe.gop, count)) for first in range(0, count, recipe.gop)]
        if reader.gops != expected:
            raise VideoError(part, f"has its I-frames elsewhere than every {recipe.gop} frames", decoded)
        if all(reader.motion(range(first + 1, last))[1].all() for first, last in expected if last - first > 1):
            raise VideoError(part, "has no motion vectors", decoded)


def _rewrite_manifests(source: Path, target: Path, renamed: dict[Path, Path]) -> list[Path]:
    """Copies of the lists below `source` that name the new files; lines that name no video stay as they are."""
    by_place = {old.absolute(): new for old, new in renamed.items()}
    written = []
    for manifest in sorted(source.rglob("*.csv")):
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
        if not rows or [cell.strip() for cell in rows[0]] != ["path", "label"]:
            continue
        for row in rows[1:]:
            new = by_place.get((source / row[0].strip()).absolute())
            if new is not None:
                row[0] = str(new.absolute() if Path(row[0].strip()).is_absolute() else new.relative_to(target))
        copy = target / manifest.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        written.append(copy)
    return written
