"""A quiet tone as AAC audio, for synthetic videos."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import av
import numpy as np

SAMPLE_RATE = 8000  # Hz


def add_tone(out: av.container.OutputContainer, hertz: int, *, seconds: float) -> Callable[[], None]:
    """Add an audio track to a file, a sine of amplitude 0.05 at SAMPLE_RATE; returns what writes it, to be called once,
    when the pictures are written."""
    sound = av.open(io.BytesIO(_encoded(hertz, round(seconds * SAMPLE_RATE))))
    track = out.add_stream_from_template(sound.streams.audio[0])

    def write() -> None:
        with sound:
            for packet in sound.demux(audio=0):
                if packet.size:
                    packet.stream = track
                    out.mux(packet)

    return write


@functools.lru_cache(maxsize=64)
def _encoded(hertz: int, num_samples: int) -> bytes:
    """Encoded once per pitch and length, which is most of the time that writing a small video would take."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as out:
        audio = out.add_stream("aac", rate=SAMPLE_RATE, layout="mono", options={"aac_coder": "fast"})
        audio.codec_context.bit_rate = 16000
        audio.codec_context.thread_count = 1
        wave = 0.05 * np.sin(2 * np.pi * hertz * np.arange(num_samples) / SAMPLE_RATE)
        sound = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = SAMPLE_RATE, 0
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    return file.getvalue()
