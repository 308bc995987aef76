"""The audio track of a video as one waveform in the picture's time, decoded and resampled with PyAV (FFmpeg).

The cases, which a caller can tell apart by the fields of `Audio`:

- no audio track, or one that is announced and empty: silence as long as the picture, `has_track` false
- audio that starts after the first frame: silence before it; that starts earlier: cut there
- audio that ends before the picture: silence after it; that is longer: cut at the end of the last frame
- silence: a track like any other, of zeros
- packets that are damaged or missing in the middle: silence in their place, what comes after is not moved
- a track of which nothing decodes or of less than LEAST_RATE, a file without picture, a picture of more than
  LONGEST_S: refused

What cannot be noticed: damage that is still valid code, and in avi files, which have no field for it, what AAC and MP3
encoders put first (up to 0.07 s), by which the audio is then late.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from vtbench.errors import VideoError
from vtbench.video.files import BAD_INPUT, open_video, reason
from vtbench.video.times import picture_times

__all__ = ["LONGEST_S", "SAMPLE_RATE", "Audio", "read_audio"]

SAMPLE_RATE = 16_000
"""Samples per second of every waveform (Hz), VGGish's."""
LEAST_RATE = 1000
"""Samples per second (Hz) that a track must have. Each sample of a slower one would become thousands."""
LONGEST_S = 4 * 3600
"""Length of the longest picture that is read (s): its waveform takes 0.9 GB. A jump in the time stamps of a short video
makes it days long."""

# Time stamps are rounded (to 1 ms in matroska, to a coded frame in some avi files). Only what is further off than this
# (s) is a gap; closing smaller ones would cut audio that is whole.
_JITTER_S = 0.05

# Samples that are mixed and written at a time. One coded frame (a few hundred) at a time would take longer.
_BLOCK = SAMPLE_RATE


@dataclass(frozen=True)
class Audio:
    """The audio of one video.

    - waveform: (L,) float32 in [-1, 1], SAMPLE_RATE per second, mean of the channels. Sample 0 is the time at which the
      first frame is shown, the last one that at which the last frame ends: L = picture_s x SAMPLE_RATE, rounded
    - has_track: whether the file has an audio track with anything in it
    - start_s, end_s: when the track begins and ends (s), 0 being the first frame; outside 0 to picture_s if it is
      longer than the picture. Both 0 without samples
    - picture_s: length of the picture (s)
    - damaged_packets: packets that did not decode
    """

    waveform: np.ndarray
    has_track: bool
    start_s: float
    end_s: float
    picture_s: float
    damaged_packets: int

    @property
    def covered(self) -> float:
        """Share of the picture's time that the track covers, 0 to 1. Silence in the track counts as covered."""
        overlap = min(self.end_s, self.picture_s) - max(self.start_s, 0.0)
        return max(overlap, 0.0) / self.picture_s if self.picture_s else 0.0


def read_audio(path: str | Path) -> Audio:
    """The first audio track of a video file, aligned with the first video stream by their time stamps.

    Raises VideoError, naming path and remedy, for a file that is missing or unreadable, without picture, with one
    longer than LONGEST_S, or with a track of which nothing decodes. The file is read twice, for the times of the
    picture and for the audio. Besides the waveform, no more than a second or so of audio is in memory at a time.
    """
    path = Path(path)
    try:
        times = picture_times(path)
        if times.end_s - times.start_s > LONGEST_S:
            raise VideoError(
                path,
                f"lasts {(times.end_s - times.start_s) / 3600:.1f} h by the time stamps of its picture, and at most"
                f" {LONGEST_S / 3600:g} h are read; write new time stamps if they jump, otherwise cut it into parts",
            )
        return _audio(path, times.start_s, times.end_s - times.start_s)
    except BAD_INPUT as error:
        raise VideoError(path, f"{reason(error)}; check the path, or get the file again") from error


def _audio(path: Path, picture_start_s: float, picture_s: float) -> Audio:
    """The audio of a file whose picture begins at picture_start_s of the file's time."""
    waveform = np.zeros(round(picture_s * SAMPLE_RATE), np.float32)
    with open_video(path) as container:
        if not container.streams.audio:
            return Audio(waveform, False, 0.0, 0.0, picture_s, 0)
        track = container.streams.audio[0]
        if track.codec_context is None:
            raise VideoError(path, "the codec of its audio is unknown to FFmpeg; convert it to AAC")
        declared_end_s = None
        if track.start_time is not None and track.duration:
            declared_end_s = float((track.start_time + track.duration) * track.time_base) - picture_start_s
        start_s, end_s, longest_s, damaged = math.inf, -math.inf, 0.0, 0
        stretch, whole = None, False
        for frame in _frames(container, track):
            if frame is None:
                damaged, whole = damaged + 1, False
                continue
            if frame.sample_rate < LEAST_RATE:
                raise VideoError(
                    path, f"its audio has {frame.sample_rate} samples a second, at least {LEAST_RATE} are wanted"
                )
            if stretch is None or not whole or not stretch.continues_with(frame):
                begin_s = frame.time
                if begin_s is None:  # a frame without time stamp follows on the one before it
                    begin_s = stretch.end_s if stretch else 0.0
                if stretch:
                    stretch.finish()
                stretch, whole = _Stretch(frame, begin_s, waveform, picture_start_s), True
            stretch.add(frame)
            start_s, end_s = min(start_s, stretch.begin_s), max(end_s, stretch.end_s)
            longest_s = max(longest_s, frame.samples / frame.sample_rate)
    if not stretch:
        if damaged:
            raise VideoError(path, f"none of the {damaged} packets of its audio decodes; convert it, or get it again")
        return Audio(waveform, False, 0.0, 0.0, picture_s, 0)
    stretch.finish()

    start_s, end_s = start_s - picture_start_s, end_s - picture_start_s
    # Coders fill their last frames up, and the decoder gives that out. Where far more is there, the header is wrong.
    if declared_end_s is not None and start_s < declared_end_s < end_s <= declared_end_s + 2 * longest_s:
        end_s = declared_end_s
        waveform[max(round(end_s * SAMPLE_RATE), 0) :] = 0
    return Audio(waveform, True, start_s, end_s, picture_s, damaged)


def _frames(container: av.container.InputContainer, track: av.AudioStream) -> Iterator[av.AudioFrame | None]:
    """The decoded frames of the track, and None for each packet that does not decode."""
    for packet in container.demux(track):
        if packet.is_corrupt:
            yield None
            continue
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            yield None


class _Stretch:
    """Frames without a gap and in one format, which are resampled and written into the waveform as they come.

    begin_s, end_s: time of the first sample, and of the end of the last one that was added (s), in the file's time.
    """

    def __init__(self, frame: av.AudioFrame, begin_s: float, waveform: np.ndarray, picture_start_s: float) -> None:
        """frame: the first one, which is still to be added."""
        self.begin_s = self.end_s = begin_s
        self._format = _format(frame)
        self._samples = 0
        self._waveform, self._at = waveform, round((begin_s - picture_start_s) * SAMPLE_RATE)
        # The layout is kept here: FFmpeg's own mix to mono is 1/sqrt(2) of the sum for stereo, not the mean.
        self._resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE, frame_size=_BLOCK)

    def continues_with(self, frame: av.AudioFrame) -> bool:
        """Whether a frame is of this stretch, and not the first one of another."""
        gap_s = 0.0 if frame.time is None else abs(frame.time - self.end_s)
        return _format(frame) == self._format and gap_s <= _JITTER_S

    def add(self, frame: av.AudioFrame) -> None:
        self._samples += frame.samples
        self.end_s = self.begin_s + self._samples / frame.sample_rate
        self._write(frame)

    def finish(self) -> None:
        """Write what the resampler still holds."""
        self._write(None)

    def _write(self, frame: av.AudioFrame | None) -> None:
        for part in self._resampler.resample(frame):
            mono = np.nan_to_num(part.to_ndarray().mean(axis=0)).clip(-1, 1)  # float tracks can hold anything
            _place(mono, self._waveform, self._at)
            self._at += len(mono)


def _format(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _place(samples: np.ndarray, waveform: np.ndarray, at: int) -> None:
    """Write `samples` into `waveform` from sample `at` on, leaving out what is outside it."""
    samples = samples[max(-at, 0) : max(len(waveform) - at, 0)]
    waveform[max(at, 0) : max(at, 0) + len(samples)] = samples
