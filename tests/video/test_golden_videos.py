"""Files that only the ffmpeg program makes, against its own sequential decode (tests/golden/README.md)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from generate_videos import COPIES, FILES, FOLDER, means

from vtbench.video.decode import VideoReader

DECODED = json.loads((FOLDER / "decoded.json").read_text())


@pytest.mark.parametrize("name", FILES)
def test_every_frame_asked_alone_is_the_one_that_ffmpeg_decodes(name: str) -> None:
    expected = np.array(DECODED[name])
    # Other versions convert to RGB a little differently; neighbouring frames differ by more.
    assert np.abs(np.diff(expected, axis=0)).max(axis=1).min() > 1
    with VideoReader(FOLDER / name) as reader:
        assert reader.num_frames == len(expected)
        assert reader.has_index == (name != "altref_vp8.webm")  # packets without a picture: counted
    for number in range(len(expected)):
        with VideoReader(FOLDER / name) as reader:
            found = means(reader.frames([number]))[0]
        assert np.abs(found - expected[number]).max() < 0.5, number


def test_the_files_are_small_and_what_they_are_meant_to_be() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000
    packed = (FOLDER / "packed.avi").read_bytes()
    assert b"DivX503b1393p" in packed  # the mark of packed B-frames
    assert DECODED["unpacked.avi"] == DECODED["packed.avi"]
    assert all(DECODED[copy] == DECODED[source] for copy, source in COPIES.items())
    vp8 = _packets(FOLDER / "altref_vp8.webm")
    assert len(vp8) > len(DECODED["altref_vp8.webm"]) and any(not data[0] >> 4 & 1 for data in vp8)


def _packets(path: Path) -> list[bytes]:
    import av

    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]
