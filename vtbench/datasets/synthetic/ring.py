"""What the sets `cycle`, `events` and `stills` have in common: a scene with a ring of eight places, in H.264 with AAC.

A bright shape on a dark, graded background sits at one of eight places on a ring (place 0 at the top, or north, place 2
to the right, or east). A still scene - background, colours, ring, shape - is drawn at random per video; nothing but the
places depends on the label. Time is cut into holds of HOLD frames during which nothing moves.

That two videos of a scene show the same frames after encoding, to the bit, is a matter of coding each hold on its own:
every hold starts with a forced keyframe of a closed group, at a constant quantiser, without B-frames, lookahead or any
rate control that remembers. A decoded frame then depends on the scene, the place and its position within the hold
alone.

Sampling at stride HOLD with 8 frames takes one frame of each of eight holds in a row, whatever the start.

Mirroring left and right turns place p into -p mod 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vtbench.datasets.synthetic.tone import add_tone

__all__ = ["HOLD", "NOWHERE", "PLACES", "Scene", "draw_scene", "held", "render", "write_video"]

PLACES = 8
HOLD = 4  # frames during which nothing moves; sample with this stride
NOWHERE = -1  # an empty hold
WIDTH, HEIGHT = 48, 40  # pixels
FRAME_RATE = 25  # frames per second
TONES = (220, 262, 330, 392, 494, 587, 698, 880)  # Hz

_X264 = ":".join(
    [
        "qp=12",
        f"keyint={HOLD}:min-keyint={HOLD}:scenecut=0:bframes=0:open-gop=0:ref=1:weightp=0",
        "aq-mode=0:mbtree=0:rc-lookahead=0:sync-lookahead=0:threads=1:lookahead-threads=1",
    ]
)


@dataclass(frozen=True)
class Scene:
    """All that stands still in a video: colours in [0, 255], lengths in pixels, tone in Hz."""

    background: tuple[float, float, float]
    slope: tuple[float, float]  # change of brightness per pixel to the right and down
    colour: tuple[float, float, float]
    centre: tuple[float, float]  # (x, y) of the ring
    radius: float
    size: float
    shape: int  # disc, square, diamond, plus
    tone: int


def draw_scene(rng: np.random.Generator) -> Scene:
    """A random scene. The shape always stands out from the background by 200 levels summed over red, green, blue."""
    background = rng.uniform(0, 90, 3)
    colour = rng.uniform(130, 255, 3)
    while np.abs(colour - background).sum() < 200:
        colour = rng.uniform(0, 255, 3)
    return Scene(
        background=tuple(background.tolist()),
        slope=tuple(rng.uniform(-0.6, 0.6, 2).tolist()),
        colour=tuple(colour.tolist()),
        centre=(WIDTH / 2 + rng.uniform(-2, 2), HEIGHT / 2 + rng.uniform(-2, 2)),
        radius=rng.uniform(9, 11),
        size=rng.uniform(3, 4.2),
        shape=int(rng.integers(4)),
        tone=int(rng.choice(TONES)),
    )


def render(scene: Scene, place: int) -> np.ndarray:
    """The scene with its shape at `place` (0 to 7, or NOWHERE): uint8 (HEIGHT, WIDTH, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    graded = scene.slope[0] * (x - WIDTH / 2) + scene.slope[1] * (y - HEIGHT / 2)
    picture = np.array(scene.background) + graded[..., None]
    if place != NOWHERE:
        angle = 2 * np.pi * place / PLACES
        dx = np.abs(x - (scene.centre[0] + scene.radius * np.sin(angle)))
        dy = np.abs(y - (scene.centre[1] - scene.radius * np.cos(angle)))
        s = scene.size
        inside = (
            dx**2 + dy**2 < s**2,
            (dx < 0.9 * s) & (dy < 0.9 * s),
            dx + dy < 1.2 * s,
            ((dx < 0.4 * s) | (dy < 0.4 * s)) & (dx < 1.2 * s) & (dy < 1.2 * s),
        )[scene.shape]
        picture[inside] = scene.colour
    return np.clip(picture, 0, 255).astype(np.uint8)


def held(places: list[int]) -> list[int]:
    """The place in each frame, from the place in each hold."""
    return [place for place in places for _ in range(HOLD)]


def write_video(path: Path, scene: Scene, places: list[int]) -> None:
    """Encode the scene with its shape at `places`, one per frame, and its tone, as H.264 and AAC in mp4."""
    rgb_to_yuv = VideoReformatter()
    pictures = {
        place: rgb_to_yuv.reformat(
            av.VideoFrame.from_ndarray(render(scene, place), format="rgb24"), format="yuv420p", threads=1
        )
        for place in set(places)
    }
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as out:
        video = out.add_stream("libx264", rate=FRAME_RATE, options={"preset": "ultrafast", "x264-params": _X264})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, FRAME_RATE)
        video.codec_context.thread_count = 1
        write_audio = add_tone(out, scene.tone, seconds=len(places) / FRAME_RATE)
        for n, place in enumerate(places):
            frame = pictures[place]  # the encoder copies it, so one picture serves many frames
            frame.pts, frame.time_base = n, Fraction(1, FRAME_RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        write_audio()
