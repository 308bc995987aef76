"""Re-encode a folder of videos to what compressed-video methods read: MPEG-4 part 2 with short GOPs and no B-frames.

The recipe is CoViAR's (https://github.com/chaoyuaw/pytorch-coviar, data/reencode.sh): 340 x 256, quantiser 1, an
I-frame every 12. Two things differ. The container is mp4 rather than a raw stream: it has room for the audio and an
index of its packets, so that a GOP is found without decoding what precedes it. And no I-frames are put in at scene
changes, so that every GOP but the last has the same length.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import itertools
import multiprocessing
import tempfile
import time
import uuid
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
from vtbench.video.display import Display, display_of

__all__ = ["Reencoded", "reencode_mpeg4"]

# More than the data sets are read from: what people have, and what FFmpeg tells apart by content anyway.
SOURCE_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp", ".ogv"),
    *(".h264", ".264", ".hevc"),
)

# Times are kept to 1/60000 s, which is exact for all common frame rates; MPEG-4 allows up to 1/65535 s.
_TICKS = 60000

_MAX_GOP = 600  # FFmpeg's encoder makes longer ones as long as this

_NO_PICTURE = 19  # bytes: a longer MPEG-4 packet holds a picture (FFmpeg's MAX_NVOP_SIZE)

_LINE_EVERY = 30.0  # seconds between two lines of progress

_LEFT_AFTER = 86400.0  # seconds after which a file that was not renamed belongs to no run


@dataclass
class Reencoded:
    """What `reencode_mpeg4` did. encoded, kept: files written now, and found finished. failed: one line per source file
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

    def of(self, file: Path) -> str:
        """Written into each new file: one made with another recipe, or of what `file` was before, is not finished."""
        recipe = f"vtbench mpeg4 {self.size[0]}x{self.size[1]} gop={self.gop} quantiser={self.quantiser}"
        status = file.stat()
        return f"{recipe} source={status.st_size},{status.st_mtime_ns}"


def reencode_mpeg4(
    source: str | Path,
    target: str | Path,
    *,
    size: tuple[int, int] = (340, 256),
    gop: int = 12,
    quantiser: int = 1,
    workers: int = 1,
    report: Callable[[str], None] = print,
) -> Reencoded:
    """Re-encode every video below `source` to the same relative path below `target`, with the suffix .mp4.

    size: width and height in pixels, even; pictures are stretched to it, after the display rotation of the file, and
    keep their colours (BT.601, limited range: how files that state nothing are read). gop: frames from one I-frame to
    the next, 2 to 600. quantiser: 1 (best) to 31. Audio is copied where mp4 can hold it, else encoded as AAC. Lists
    below `source` (*.csv with the header path,label) are rewritten to the new names; their lines for videos that failed
    stay, and are missed when the data set is read.

    A file is written under a name of its own, checked (as many frames as the source decodes to, an I-frame every `gop`,
    vectors readable) and then renamed. A finished file is kept; it is done again if the recipe, the size or the time of
    change of its source, or any of its own bytes are not as they were, for which it is read once. `workers` processes
    share the files; several runs may write to one target, but do the work twice. `report` gets one line per file that
    fails, and how far it is twice a minute. Raises DataError for folders that cannot be used and lists that cannot be
    read, before anything is encoded; ValueError for numbers out of range.
    """
    if size[0] < 16 or size[1] < 16 or size[0] % 2 or size[1] % 2:
        raise ValueError(f"size {size[0]} x {size[1]} must be even, at least 16 x 16")
    if not 1 <= quantiser <= 31 or not 2 <= gop <= _MAX_GOP:
        raise ValueError(f"quantiser {quantiser} must be 1 to 31, gop {gop} 2 to {_MAX_GOP}")
    source, target = Path(source), Path(target)
    jobs, lists = _jobs(source, target), _lists(source)
    _clear(target)
    recipe, result = _Recipe(size, gop, quantiser), Reencoded()
    reported = time.monotonic()
    for count, (file, outcome) in enumerate(_outcomes(jobs, recipe, workers), 1):
        if outcome == "encoded":
            result.encoded += 1
        elif outcome == "kept":
            result.kept += 1
        else:
            result.failed.append(outcome)
            report(outcome)
        if time.monotonic() - reported > _LINE_EVERY:
            reported = time.monotonic()
            report(f"{count} of {len(jobs)} videos, now {file}")
    result.manifests = _rewrite(lists, source, target, dict(jobs))
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


def _clear(target: Path) -> None:
    """Make the folder, and remove what runs that were killed left in it."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for part in target.rglob("*.part"):
            if not (part.name.startswith(".vtbench-") or part.name.endswith(".mp4.part")):  # the latter: older versions
                continue
            with contextlib.suppress(FileNotFoundError):  # another run is done with it
                if time.time() - part.stat().st_mtime > _LEFT_AFTER:
                    part.unlink()
    except OSError as error:
        raise DataError(f"{target}: cannot be written to: {error.strerror}; give another folder") from error


def _outcomes(jobs: list[tuple[Path, Path]], recipe: _Recipe, workers: int) -> Iterator[tuple[Path, str]]:
    """(video, "encoded", "kept" or why it failed), in the order they end."""
    if workers <= 1:
        for file, new in jobs:
            yield file, _reencode(file, new, recipe)
        return
    # Not forked: FFmpeg's and numpy's threads would not survive it.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_reencode, file, new, recipe): file for file, new in jobs}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _reencode(file: Path, new: Path, recipe: _Recipe) -> str:
    # Not the name of the video: several runs may be at it, and it may leave no room for more letters.
    part = new.with_name(f".vtbench-{uuid.uuid4().hex}.part")
    try:
        made_of = recipe.of(file)
        if _is_finished(new, made_of):
            return "kept"
        new.parent.mkdir(parents=True, exist_ok=True)
        count = _encode(file, part, recipe)
        _check(file, part, count, recipe)
        seal = _seal(part, part.stat().st_size, made_of)
        with part.open("ab") as out:
            out.write(seal)
        part.replace(new)
    except VideoError as error:
        return _one_line(error)
    except Exception as error:  # whatever it is, the other files continue
        return _one_line(f"{file}: cannot be re-encoded to {new}: {type(error).__name__}: {error}")
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return "encoded"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _is_finished(new: Path, made_of: str) -> bool:
    if not new.is_file():
        return False
    size = new.stat().st_size - len(_seal(new, 0, made_of))
    with new.open("rb") as file:
        file.seek(max(size, 0))
        return file.read() == _seal(new, size, made_of)


def _seal(path: Path, size: int, made_of: str) -> bytes:
    """What ends a finished file: what it was made of, and a hash of the `size` bytes before. For players it is free
    space (ISO/IEC 14496-12, 8.1.2)."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(min(1 << 20, max(size - file.tell(), 0))):
            digest.update(part)
    text = f"{made_of} sha256={digest.hexdigest()}".encode()
    return (8 + len(text)).to_bytes(4, "big") + b"free" + text


def _encode(file: Path, part: Path, recipe: _Recipe) -> int:
    """Write `part` and return how many frames the source has, which is how many were encoded."""
    with (
        VideoReader(file) as reader,
        av.open(str(file), metadata_errors="ignore") as with_audio,
        av.open(str(part), "w", format="mp4") as out,
    ):
        rate = with_audio.streams.video[0].average_rate or Fraction(25)
        stream = _add_video(out, recipe, rate)
        begin = (with_audio.start_time or 0) / av.time_base
        times = [] if reader.has_index and with_audio.format.name != "avi" else _times_by_rank(file)
        audio = _audio(file, with_audio, out, begin)
        upcoming = next(audio, None)
        count, last = 0, -1
        for frame in reader.sequential():
            at = times[count] if count < len(times) else count / rate if frame.time is None else frame.time - begin
            last = max(last + 1, round(at * _TICKS))
            picture = _scaled(frame, display_of(frame, file), recipe.size)
            picture.pts, picture.time_base = last, Fraction(1, _TICKS)
            out.mux(stream.encode(picture))
            count += 1
            while upcoming is not None and upcoming[0] <= at:
                out.mux(upcoming[1])
                upcoming = next(audio, None)
        out.mux(stream.encode(None))
        for _, packet in itertools.chain([] if upcoming is None else [upcoming], audio):
            out.mux(packet)
        missing = reader.num_frames - count
        if missing and not 0 < missing <= _without_picture(file):
            raise VideoError(file, f"{count} of {reader.num_frames} frames decode", count)
    if count < 2:
        raise VideoError(file, "has a single frame, and so no motion; take it out", count)
    return count


def _times_by_rank(file: Path) -> list[float]:
    """Seconds of each frame from the start of the file, where no stamp says when a frame is shown: avi counts its
    packets as they are coded, and copies of avi keep that. The n-th frame shown has the n-th stamp. Empty where frames
    have stamps of their own."""
    with av.open(str(file), metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        begin = (container.start_time or 0) / av.time_base
        stamps = [(p.pts, p.dts) for p in container.demux(stream) if p.size and not p.is_discard]
        if any(dts is None for _, dts in stamps):
            return []
        if container.format.name != "avi":
            shown = [pts for pts, _ in stamps if pts is not None]
            goes_back = any(later <= stamp for stamp, later in itertools.pairwise(shown))
            if len(shown) < len(stamps) or goes_back or not stream.codec_context.has_b_frames:
                return []
        return [float(dts * stream.time_base) - begin for _, dts in stamps if dts is not None]


def _without_picture(file: Path) -> int:
    """Packets that only say that the picture before is shown on (MPEG-4's vop_coded is 0), of which no frame comes."""
    with av.open(str(file), metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        if stream.codec_context.codec.canonical_name != "mpeg4":
            return 0
        return sum(1 for packet in container.demux(stream) if 0 < packet.size <= _NO_PICTURE)


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


def _scaled(frame: av.VideoFrame, display: Display, size: tuple[int, int]) -> av.VideoFrame:
    """The frame as displayed, stretched to `size`, without its type: the encoder decides on I and P itself."""
    width, height = size[::-1] if display.transposed else size
    # The new file cannot say which colour matrix and range it has, and is read as BT.601, limited ("MPEG").
    scaled = frame.reformat(
        *(width, height, "yuv420p"),
        dst_colorspace="ITU601",
        dst_color_range="MPEG",
        interpolation="BICUBIC",
        threads=1,
    )
    planes = scaled.to_ndarray()  # (3 H / 2, W): H lines of Y, then U and V with half the lines of half the width
    if display.changes:
        half = (height // 2, width // 2)
        parts = [planes[:height], *planes[height:].reshape(2, *half)]
        planes = np.concatenate([display.picture(part).ravel() for part in parts]).reshape(-1, size[0])
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")


def _audio(
    file: Path, container: av.container.InputContainer, out: av.container.OutputContainer, begin: float
) -> Iterator[tuple[float, av.Packet | list[av.Packet]]]:
    """(seconds from the start of the file, packets) of the first audio track in order, for a stream added to `out`."""
    if not container.streams.audio:
        return iter(())
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise VideoError(file, "the codec of its audio is unknown to FFmpeg; convert it to AAC, or remove it")
    coding, hertz = stream.codec_context.codec.canonical_name, stream.codec_context.sample_rate
    if not hertz or not stream.codec_context.layout.nb_channels:  # announced, and nothing came
        return iter(())
    # mp4 holds PCM too, but only of stated speaker positions, which avi and Matroska do not state; and no MP3 below
    # 16 kHz, which is MPEG-2.5.
    if coding in out.supported_codecs and not coding.startswith("pcm_") and not (coding == "mp3" and hertz < 16_000):
        return _copied(container, stream, out.add_stream_from_template(stream), begin)
    # The encoder takes some rates, to which it resamples, and wants the usual positions stated where the file has none.
    rate = min(av.Codec("aac", "w").audio_rates, key=lambda rate: abs(rate - hertz))
    layout = stream.codec_context.layout
    name = f"{layout.nb_channels}c" if layout.name.endswith("channels") else layout.name
    return _encoded(container, stream, out.add_stream("aac", rate=rate, layout=name), begin)


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


def _check(file: Path, part: Path, count: int, recipe: _Recipe) -> None:
    """Read back what was written of `file`. Raises VideoError if it is not what compressed-video methods need."""
    try:
        with CompressedReader(part, max_gop=recipe.gop) as reader:
            decoded, vectors = 0, False
            for frame in reader.sequential():
                decoded += 1
                vectors = vectors or "MOTION_VECTORS" in frame.side_data
            if decoded != count:
                raise VideoError(part, f"has {decoded} frames of {count}", decoded)
            if reader.gops != [(first, min(first + recipe.gop, count)) for first in range(0, count, recipe.gop)]:
                raise VideoError(part, f"has its I-frames elsewhere than every {recipe.gop} frames", decoded)
            reader.motion([1, count - 1])
            # Where all pictures are new, as after cuts and in flashes, there are none.
            if not vectors and not _vectors_come():
                raise VideoError(part, "has no motion vectors, as no file has with this version of PyAV", decoded)
    except VideoError as error:
        why = error.reason.split("; ")[0]
        advice = "try again, and leave the video out of the lists if that does not help"
        raise VideoError(file, f"what was made of it {why}; {advice}", error.frames_decoded) from error


def _vectors_come() -> bool:
    """Whether vectors are read of a file that is sure to have some: two equal frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "equal.mp4"
        with av.open(str(path), "w") as out:
            stream = _add_video(out, _Recipe((32, 32), 2, 1), Fraction(25))
            for stamp in range(2):
                frame = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), format="yuv420p")
                frame.pts, frame.time_base = stamp, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        with CompressedReader(path) as reader:
            return not reader.motion([1])[1].all()


def _lists(source: Path) -> dict[Path, list[list[str]]]:
    """The rows of the lists below `source`; csv files with another header are left aside."""
    lists = {}
    for path in sorted(path for path in source.rglob("*.csv") if path.is_file()):
        try:
            if _is_list(path):
                with path.open(newline="", encoding="utf-8") as file:
                    lists[path] = [row for row in csv.reader(file) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            advice = "make it CSV in UTF-8, or move it away"
            raise DataError(f"{path}: cannot be read as a list of videos: {error}; {advice}") from error
    return lists


def _is_list(path: Path) -> bool:
    # Any other file may be in any encoding, and hold anything.
    with path.open(newline="", encoding="utf-8", errors="replace") as file, contextlib.suppress(csv.Error):
        return [cell.strip() for cell in next(filter(None, csv.reader(file)), [])] == ["path", "label"]
    return False


def _rewrite(lists: dict[Path, list[list[str]]], source: Path, target: Path, renamed: dict[Path, Path]) -> list[Path]:
    """Copies of the lists that name the new files; lines that name no video stay as they are."""
    by_place = {old.absolute(): new for old, new in renamed.items()}
    written = []
    for manifest, rows in lists.items():
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
