"""Every kind of file the reader promises exact frame numbers for, made once; frames carry their number as a pattern."""

from __future__ import annotations

from pathlib import Path

import encoded
import numpy as np
import pytest
from encoded import encode, numbered, x264

NUM_FRAMES = 60
_B = "bframes=3:b-adapt=0"


def _vfr() -> list[int]:
    return np.cumsum(np.random.default_rng(0).integers(1, 6, NUM_FRAMES)).tolist()


def make(kind: str, folder: Path) -> Path:
    """Write the file of this kind."""
    n = NUM_FRAMES
    match kind:
        case "one group of pictures":
            return encode(folder / "gop250.mp4", numbered(n), options=x264(250, _B), sound=True)
        case "groups of 12":
            return encode(folder / "gop12.mp4", numbered(n), options=x264(12, _B))
        case "open groups":
            return encode(folder / "open.mp4", numbered(n), options=x264(12, _B, "open-gop=1"))
        case "only keyframes":
            return encode(folder / "intra.mp4", numbered(n), options=x264(1))
        case "one frame":
            return encode(folder / "one.mp4", numbered(1), options=x264(12))
        case "variable rate":
            return encode(folder / "vfr.mp4", numbered(n), options=x264(12, _B), pts=_vfr())
        case "late start":
            return encode(folder / "late.mp4", numbered(n), options=x264(12, _B), pts=range(137, 137 + n))
        case "no edit list":
            options = {"use_editlist": "0"}
            return encode(folder / "noedit.mp4", numbered(n), options=x264(12, _B), container_options=options)
        case "fragmented":
            options = {"movflags": "frag_keyframe+empty_moov"}
            return encode(folder / "frag.mp4", numbered(n), options=x264(12, _B), container_options=options)
        case "edit list":
            return encoded.remux_from(make("groups of 12", folder), folder / "edit.mp4", seconds=0.8)
        case "edit list, open groups":
            return encoded.remux_from(make("open groups", folder), folder / "edit_open.mp4", seconds=0.8)
        case "mpeg-ts":
            return encode(folder / "x.ts", numbered(n), options=x264(12, _B))
        case "raw h264":
            return encode(folder / "x.h264", numbered(n), options=x264(12, _B))
        case "mpeg4 avi with B-frames":
            return encode(folder / "x.avi", numbered(n), codec="mpeg4", options={"bf": "2", "g": "12"})
        case "vp9 webm":
            options = {"deadline": "realtime", "cpu-used": "8", "g": "16"}
            return encode(folder / "x.webm", numbered(n), codec="libvpx-vp9", options=options)
        case "vp9 webm with hidden frames":
            options = {"deadline": "good", "cpu-used": "5", "g": "30", "auto-alt-ref": "1", "lag-in-frames": "16"}
            return encode(folder / "hidden.webm", numbered(n), codec="libvpx-vp9", options=options)
        case "odd size, mkv":
            frames = (encoded.numbered_frame(i)[:-1, :-1] for i in range(n))
            return encode(folder / "odd.mkv", frames, codec="mpeg4", options={"g": "12"})
    raise AssertionError(kind)


INDEXED = [
    "one group of pictures",
    "groups of 12",
    "open groups",
    "only keyframes",
    "one frame",
    "variable rate",
    "late start",
    "no edit list",
    "fragmented",
    "edit list",
    "edit list, open groups",
    "vp9 webm",
    "vp9 webm with hidden frames",
    "odd size, mkv",
    "mpeg4 avi with B-frames",
]
SEQUENTIAL = ["mpeg-ts", "raw h264"]


@pytest.fixture(scope="session", params=INDEXED + SEQUENTIAL)
def numbered_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """(kind, path) of one file per kind."""
    return request.param, make(request.param, tmp_path_factory.mktemp("kind"))
