"""What a video file is, and what the readers of vtbench make of it: behind `vtbench data info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from vtbench.audio.waveform import read_audio
from vtbench.datasets.prepare.files import seal_of
from vtbench.errors import VideoError
from vtbench.video.compressed import CompressedReader
from vtbench.video.files import BAD_INPUT, open_video, reason
from vtbench.video.survey import Survey, survey

__all__ = ["VideoInfo", "read_info"]

# FFmpeg's AVColorSpace and AVColorRange; what is left out is shown as its number.
_COLORSPACES = {0: "RGB", 1: "BT.709", 2: None, 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020"}
_COLOR_RANGES = {0: None, 1: "limited", 2: "full"}


@dataclass(frozen=True)
class Container:
    """format: FFmpeg's name of it. streams: "video h264" for each. duration_s, start_s: as the headers say (s), None
    where they do not. num_bytes: size of the file."""

    format: str
    streams: list[str]
    duration_s: float | None
    start_s: float | None
    num_bytes: int


@dataclass(frozen=True)
class Picture:
    """The first video stream.

    - codec, profile, pixel_format: FFmpeg's names
    - width, height: as stored, in pixels; shown_width, shown_height: after turning
    - transposed, flip_x, flip_y: what the display matrix asks for, in this order
    - colorspace, color_range: None where the stream does not say; it is then read as BT.601, limited
    - rate: frames per second on average, by the headers
    - start_s, duration_s: when the first frame is shown (s, in the file's time), None where no stamp says it; and how
      long the stream is by its headers
    - interlaced: whether a picture is coded as two fields
    """

    codec: str
    profile: str | None
    pixel_format: str | None
    width: int
    height: int
    shown_width: int
    shown_height: int
    transposed: bool
    flip_x: bool
    flip_y: bool
    colorspace: str | None
    color_range: str | None
    rate: float | None
    start_s: float | None
    duration_s: float | None
    interlaced: bool


@dataclass(frozen=True)
class Reading:
    """by_index: whether frames are found by the file's own time stamps, in one seek; else the file is decoded from the
    start. why_sequential: why not, None by index."""

    by_index: bool
    why_sequential: str | None


@dataclass(frozen=True)
class Groups:
    """Groups of pictures.

    - i_frames, p_frames, b_frames, other_frames: how many frames of each type; VP9's, AV1's and others are all I or P
    - shortest, longest: frames from one I-frame to the next, the last group left out where there are several
    - starts: at how many packets decoding may begin
    - closed: whether no frame needs the group before its own; None where the file does not say
    """

    i_frames: int
    p_frames: int
    b_frames: int
    other_frames: int
    shortest: int
    longest: int
    starts: int
    closed: bool | None


@dataclass(frozen=True)
class Compressed:
    """Whether I-frames, motion vectors and residuals can be read, in groups of at most 12, and why not."""

    readable: bool
    why_not: str | None


@dataclass(frozen=True)
class Track:
    """The first audio track.

    - codec: FFmpeg's name, None for one that it does not know
    - rate_hz, channels: 0 where no header says it
    - empty: whether it is announced and has nothing in it, which counts as no track
    - start_s, end_s: when it begins and ends (s), 0 being the first frame
    - damaged_packets: how many do not decode
    - why_not: why it cannot be read; None if it can; else the four before are None
    """

    codec: str | None
    rate_hz: int
    channels: int
    empty: bool | None
    start_s: float | None
    end_s: float | None
    damaged_packets: int | None
    why_not: str | None


@dataclass(frozen=True)
class Seal:
    """made_of: recipe, and size in bytes and time of change (ns) of the source. unchanged: whether the bytes are still
    those that `vtbench data prepare` wrote."""

    made_of: str
    unchanged: bool


@dataclass(frozen=True)
class VideoInfo:
    """One file. num_frames: exact, all decoded. audio: None without a track. prepared: None for a file that `vtbench
    data prepare` did not make."""

    file: str
    container: Container
    video: Picture
    num_frames: int
    reading: Reading
    groups: Groups
    compressed: Compressed
    audio: Track | None
    prepared: Seal | None


def read_info(path: str | Path) -> VideoInfo:
    """Read a file as the readers do, and say what they find. Raises VideoError for one whose frames cannot be read.

    The whole file is decoded, two or three times.
    """
    path = Path(path)
    found = survey(path)
    if len(found.sizes) > 1:
        raise VideoError(path, f"frame size changes within the file: {sorted(found.sizes)}", len(found.kinds))
    try:
        with open_video(path) as container:
            about, picture, track = _container(path, container), _picture(container, found), _track(path, container)
        seal = seal_of(path)
    except BAD_INPUT as error:  # the file changes, or goes
        raise VideoError(path, reason(error)) from error
    return VideoInfo(
        file=str(path),
        container=about,
        video=picture,
        num_frames=len(found.kinds),
        reading=Reading(found.why_sequential is None, found.why_sequential),
        groups=_groups(found),
        compressed=_compressed(path),
        audio=track,
        prepared=None if seal is None else Seal(*seal),
    )


def _container(path: Path, container: av.container.InputContainer) -> Container:
    def seconds(value: int | None) -> float | None:
        return None if value is None else value / av.time_base

    streams = []
    for stream in container.streams:
        context = getattr(stream, "codec_context", None)
        streams.append(f"{stream.type} {'unknown' if context is None else context.codec.canonical_name}")
    name, size = container.format.name, path.stat().st_size
    return Container(name, streams, seconds(container.duration), seconds(container.start_time), size)


def _picture(container: av.container.InputContainer, found: Survey) -> Picture:
    stream = container.streams.video[0]
    context, display = stream.codec_context, found.display
    width, height = found.sizes[0]
    shown = (height, width) if display.transposed else (width, height)
    return Picture(
        codec=context.codec.canonical_name,
        profile=context.profile,
        pixel_format=context.pix_fmt,
        width=width,
        height=height,
        shown_width=shown[0],
        shown_height=shown[1],
        transposed=display.transposed,
        flip_x=display.flip_x,
        flip_y=display.flip_y,
        colorspace=_COLORSPACES.get(context.colorspace, str(int(context.colorspace))),
        color_range=_COLOR_RANGES.get(context.color_range, str(int(context.color_range))),
        rate=None if not stream.average_rate else float(stream.average_rate),
        start_s=found.times[0],
        duration_s=None if stream.duration is None else float(stream.duration * stream.time_base),
        interlaced=found.interlaced,
    )


def _groups(found: Survey) -> Groups:
    whole = found.groups[:-1] or found.groups or [0]
    counts = {kind: found.kinds.count(kind) for kind in "IPB"}
    return Groups(
        i_frames=counts["I"],
        p_frames=counts["P"],
        b_frames=counts["B"],
        other_frames=len(found.kinds) - sum(counts.values()),
        shortest=min(whole),
        longest=max(whole),
        starts=found.num_starts,
        closed=found.closed,
    )


def _compressed(path: Path) -> Compressed:
    try:
        with CompressedReader(path) as reader:
            assert reader.gops
            for _ in reader.each_motion():
                pass
    except VideoError as error:
        return Compressed(False, error.reason)
    return Compressed(True, None)


def _track(path: Path, container: av.container.InputContainer) -> Track | None:
    if not container.streams.audio:
        return None
    context = container.streams.audio[0].codec_context
    if context is None:
        codec, rate, channels = None, 0, 0
    else:
        codec, rate = context.codec.canonical_name, context.sample_rate or 0
        channels = context.layout.nb_channels if rate else 0
    try:
        audio = read_audio(path)
    except VideoError as error:
        return Track(codec, rate, channels, None, None, None, None, error.reason)
    return Track(codec, rate, channels, not audio.has_track, audio.start_s, audio.end_s, audio.damaged_packets, None)
