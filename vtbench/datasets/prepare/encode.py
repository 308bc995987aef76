"""One video: decoded, encoded, compared with its source, and only then put in its place."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av

from vtbench.datasets.prepare.audio import audio_packets
from vtbench.datasets.prepare.files import add_seal, is_finished, written_whole
from vtbench.errors import VideoError
from vtbench.video.decode import VideoReader
from vtbench.video.display import Display, display_of, forget_side_data
from vtbench.video.files import open_video, reason, version
from vtbench.video.times import picture_times

__all__ = ["Encoding", "reencode"]


class Encoding(Protocol):
    """What new files are to be: H264 or Mpeg4."""

    @property
    def name(self) -> str:
        """h264 or mpeg4."""

    @property
    def text(self) -> str:
        """The recipe, for the seal of a file."""

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe, for `prepared.json`."""

    def ticks(self, time_base: Fraction | None) -> int:
        """Ticks per second of the new file's times; time_base is that of the source."""

    def add_video(
        self, out: av.container.OutputContainer, first: av.VideoFrame, display: Display, rate: Fraction
    ) -> av.VideoStream:
        """A stream of `out` for frames like `first`."""

    def picture(self, frame: av.VideoFrame, display: Display, stream: av.VideoStream) -> av.VideoFrame:
        """The frame to encode."""

    def times(self, part: Path) -> list[float | None]:
        """Decode a new file and return when its frames are shown. Raises VideoError if it is not as intended."""

    def refuse(self, file: Path, count: int) -> None:
        """Raise VideoError for a source of so few frames that it cannot be used."""


def reencode(file: Path, new: Path, encoding: Encoding) -> str:
    """Make `new` of the video `file`: "encoded", "kept" if it was finished, or one line that says why it failed."""
    try:
        _, size, changed = version(file)
        made_of = f"vtbench {encoding.text} source={size},{changed}"
        if is_finished(new, made_of):
            return "kept"
        with written_whole(new) as part:
            stamps, ticks = _encode(file, part, encoding)
            _check(file, part, stamps, ticks, encoding)
            add_seal(part, made_of)
    except VideoError as error:
        return _one_line(error)
    except (av.error.FFmpegError, OSError) as error:
        return _one_line(f"{file}: cannot be re-encoded to {new}: {reason(error)}")
    except Exception as error:  # whatever it is, the other files continue
        return _one_line(f"{file}: cannot be re-encoded to {new}: {type(error).__name__}: {error}")
    return "encoded"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _encode(file: Path, part: Path, encoding: Encoding) -> tuple[list[int], int]:
    """Write `part`. Returns the ticks at which the frames of the source are shown, and ticks per second."""
    with VideoReader(file) as reader, open_video(file) as with_audio:
        source = with_audio.streams.video[0]
        ticks = encoding.ticks(source.time_base)
        rate = source.average_rate or Fraction(25)
        begin = (with_audio.start_time or 0) / av.time_base
        stamped = reader.has_index and with_audio.format.name != "avi"
        times = [] if stamped else [at - begin for at in picture_times(file).by_rank or ()]
        # The start of a late stream is stated in ticks of the whole file, which are 1/1000 s otherwise.
        with av.open(str(part), "w", format="mp4", options={"movie_timescale": str(ticks)}) as out:
            stream = None
            stamps: list[int] = []
            for frame in reader.sequential():
                display, count = display_of(frame, file), len(stamps)
                if stream is None:
                    stream = encoding.add_video(out, frame, display, rate)
                    stream.codec_context.time_base = Fraction(1, ticks)
                    audio = audio_packets(file, with_audio, out, begin)
                    upcoming = next(audio, None)
                at = times[count] if count < len(times) else count / rate if frame.time is None else frame.time - begin
                stamps.append(max(stamps[-1] + 1 if stamps else 0, round(at * ticks)))
                picture = encoding.picture(frame, display, stream)
                if (picture.width, picture.height) != (stream.width, stream.height):
                    raise VideoError(file, f"frame size changes within the file (frame {count}); cut it there", count)
                forget_side_data(frame)
                picture.pts, picture.time_base = stamps[-1], Fraction(1, ticks)
                out.mux(stream.encode(picture))
                while upcoming is not None and upcoming[0] <= at:
                    out.mux(upcoming[1])
                    upcoming = next(audio, None)
            if stream is None:
                raise VideoError(file, "has no video frames")
            out.mux(stream.encode(None))
            for _, packet in itertools.chain([] if upcoming is None else [upcoming], audio):
                out.mux(packet)
        missing = reader.num_frames - len(stamps)
        if missing and not 0 < missing <= _without_picture(file):
            raise VideoError(file, f"{len(stamps)} of {reader.num_frames} frames decode", len(stamps))
    encoding.refuse(file, len(stamps))
    return stamps, ticks


def _check(file: Path, part: Path, stamps: list[int], ticks: int, encoding: Encoding) -> None:
    """Decode what was written of `file`. Raises VideoError if its frames are not those of the source, by number and by
    time, within a tick, or if it is not what it was encoded for."""
    try:
        times = encoding.times(part)
        if len(times) != len(stamps):
            raise VideoError(part, f"has {len(times)} frames of {len(stamps)}", len(times))
        for number, (time, stamp) in enumerate(zip(times, stamps, strict=True)):
            if time is None or abs(time * ticks - stamp) > 1:
                raise VideoError(part, f"shows frame {number} at {time} s in place of {stamp / ticks} s", len(times))
    except VideoError as error:
        why = error.reason.split("; ")[0]
        advice = "try again, and leave the video out of the lists if that does not help"
        raise VideoError(file, f"what was made of it {why}; {advice}", error.frames_decoded) from error


_NO_PICTURE = 19  # bytes: a longer MPEG-4 packet holds a picture (FFmpeg's MAX_NVOP_SIZE)


def _without_picture(file: Path) -> int:
    """Packets that only say that the picture before is shown on (MPEG-4's vop_coded is 0), of which no frame comes."""
    with open_video(file) as container:
        stream = container.streams.video[0]
        if stream.codec_context.codec.canonical_name != "mpeg4":
            return 0
        return sum(1 for packet in container.demux(stream) if 0 < packet.size <= _NO_PICTURE)
