"""The audio of a video for its new file: copied where mp4 can hold it, else encoded as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

from vtbench.errors import VideoError

__all__ = ["audio_packets"]


def audio_packets(
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
