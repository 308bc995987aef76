"""Videos whose label has one bit in each of four modalities, for networks that read compressed video and audio.

The class is four bits, and each can be read from one modality alone: with all four every class is known, without any
one of them only one bit is left to guess, so the best possible accuracy is one half.

- I-frames: the hue of a disc that never moves, warm or cold. It is coded in the I-frames and copied by every P-frame.
- Motion vectors: a band of texture slides left or right by SPEED pixels per frame. Every I-frame shows it at a new,
  random place, so I-frames side by side say nothing. At both ends it is covered by noise that is drawn again in every
  frame and reaches SPEED pixels further with each: what slides in was covered before and is covered now, so that the
  residual is that of the noise, at both ends alike, and says nothing either.
- Residuals: a flat grey patch on which every P-frame adds blotches of blue or of red (Cb or Cr) at random. Its
  brightness does not change, and encoders look for motion in brightness alone; every I-frame shows it flat again.
- Audio: a low or a high tone.

Files are MPEG-4 part 2, an I-frame every GOP frames, no B-frames, with AAC audio, as `vtbench data prepare
--mpeg4` makes of real videos. Mirroring left and right turns the bit of the motion.

silent: the same without audio track and without its bit, for data sets that have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vtbench.datasets.synthetic.tone import add_tone

__all__ = ["BITS", "GOP", "Scene", "classes", "draw_scene", "flip_labels", "render", "write_video"]

GOP = 4  # frames from one I-frame to the next
GOPS = 8
NUM_FRAMES = GOP * GOPS
FRAME_RATE = 4  # frames per second, so that each of eight triplets has a second of audio of its own
WIDTH, HEIGHT = 80, 64  # pixels
SPEED = 2  # pixels per frame

BITS = ("iframe", "motion", "residual", "audio")
"""The modality of each bit, from the highest to the lowest; without audio the first three."""
VALUES = {
    "iframe": ("cold", "warm"),
    "motion": ("left", "right"),
    "residual": ("blue", "red"),
    "audio": ("low", "high"),
}
TONES = ((220, 262, 330, 392), (880, 988, 1175, 1319))  # Hz, low and high

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A frame as Y (HEIGHT, WIDTH), Cb and Cr (HEIGHT / 2, WIDTH / 2), uint8."""

_BAND = slice(32, 64)  # rows of the sliding texture
_EDGE = (8, 14)  # least and most pixels of noise at either end of the band in an I-frame
# Rows and columns of the patch with blotches: whole macroblocks, so that what an encoder makes of them stays inside.
_PATCH = (slice(0, 32), slice(48, 80))
_BLOTCH = 4  # pixels
_GREY = 128


def classes(*, silent: bool) -> tuple[str, ...]:
    """Names of the classes, as `warm_left_red_high`; the number of a class is its bits, the first of BITS highest."""
    names = [""]
    for modality in BITS[: 3 if silent else 4]:
        names = [f"{name}_{value}".lstrip("_") for name in names for value in VALUES[modality]]
    return tuple(names)


def flip_labels(*, silent: bool) -> dict[int, int]:
    """What mirroring left and right makes of each class."""
    motion = 1 << (1 if silent else 2)
    return {label: label ^ motion for label in range(len(classes(silent=silent)))}


@dataclass(frozen=True)
class Scene:
    """All that is drawn once per video."""

    right: bool
    red: bool
    background: np.ndarray
    """Brightness, uint8 (HEIGHT, WIDTH)."""
    texture: np.ndarray
    """The endless band, uint8 (rows, columns), repeated sideways."""
    colour: tuple[float, float, float]
    """Y, Cb and Cr of the disc."""
    centre: tuple[float, float]
    radius: float
    seed: int
    """Of what is drawn in every frame."""


def draw_scene(label: int, rng: np.random.Generator, *, silent: bool) -> Scene:
    """A random scene of a class."""
    bits = label if not silent else label << 1
    warm, right, red = bool(bits & 8), bool(bits & 4), bool(bits & 2)
    strength = rng.uniform(80, 110)
    turn = rng.uniform(-0.5, 0.5)
    # Warm: towards red and away from blue; cold: the other way.
    away = (1 if warm else -1) * strength
    return Scene(
        right=right,
        red=red,
        background=(_GREY + _smooth(rng, HEIGHT, WIDTH, 8) * 12).astype(np.uint8),
        texture=(_GREY + np.clip(_smooth(rng, 32, 160, 2) * 45, -100, 100)).astype(np.uint8),
        colour=(rng.uniform(110, 150), 128 - away * np.cos(turn), 128 + away * np.cos(turn)),
        # Within the uppermost macroblocks: the band may be predicted from the pixels above it, which must not show it.
        centre=(rng.uniform(8, 39), rng.uniform(7, 8)),
        radius=rng.uniform(5, 6.5),
        seed=int(rng.integers(2**31)),
    )


def _smooth(rng: np.random.Generator, height: int, width: int, grain: int) -> np.ndarray:
    """Noise of unit variance whose blotches are about `grain` pixels wide, repeating at its edges."""
    noise = np.fft.fft2(rng.standard_normal((height, width)))
    y, x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    smooth = np.fft.ifft2(noise * np.exp(-((y**2 + x**2) * (np.pi * grain) ** 2) / 2)).real
    return (smooth - smooth.mean()) / smooth.std()


def render(scene: Scene) -> list[Planes]:
    """Every frame."""
    rng = np.random.default_rng(scene.seed)
    y_, x_ = np.mgrid[0:HEIGHT, 0:WIDTH]
    disc = (x_ - scene.centre[0]) ** 2 + (y_ - scene.centre[1]) ** 2 < scene.radius**2
    small = disc[::2, ::2]
    frames = []
    place, edges, blotches = 0, np.zeros(2, np.int64), np.zeros(1)
    for number in range(NUM_FRAMES):
        luma = scene.background.copy()
        luma[disc] = scene.colour[0]
        luma[_PATCH] = _GREY
        cb, cr = (np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8) for _ in range(2))
        cb[small], cr[small] = scene.colour[1], scene.colour[2]
        if number % GOP == 0:
            place = int(rng.integers(scene.texture.shape[1]))
            edges, blotches = rng.integers(*_EDGE, size=2, endpoint=True), np.zeros(1)
        else:
            place += -SPEED if scene.right else SPEED
            edges = edges + SPEED
            rows, columns = (slice(part.start // 2, part.stop // 2) for part in _PATCH)
            shape = (rows.stop - rows.start) * 2 // _BLOTCH, (columns.stop - columns.start) * 2 // _BLOTCH
            blotches = blotches + np.kron(rng.integers(2, size=shape), np.ones((_BLOTCH // 2, _BLOTCH // 2)))
            (cr if scene.red else cb)[rows, columns] = 128 + 36 * blotches
        band = np.take(scene.texture, np.arange(place, place + WIDTH), axis=1, mode="wrap").copy()
        left, right = edges.tolist()
        # Of the same brightness as the texture: noise on noise is then as far off as noise on what slid under it.
        band[:, :left] = rng.choice(scene.texture.ravel(), (len(band), left))
        band[:, WIDTH - right :] = rng.choice(scene.texture.ravel(), (len(band), right))
        luma[_BAND] = band
        frames.append((luma, cb, cr))
    return frames


def _still(plane: np.ndarray) -> np.ndarray:
    """Where a plane never changes between two I-frames."""
    part = HEIGHT // plane.shape[0]
    still = np.ones(plane.shape, bool)
    still[_BAND.start // part :] = False
    still[tuple(slice(side.start // part, side.stop // part) for side in _PATCH)] = False
    return still


def _decoded(iframe: av.Packet, header: bytes | None) -> Planes:
    """The planes of an I-frame as a decoder sees them. Predicted frames begin from these: what they would otherwise
    correct in the I-frame, a few levels at the edge of the disc, would show its hue in the residual."""
    decoder = av.VideoCodecContext.create("mpeg4", "r")
    decoder.extradata = header
    frames: list[av.VideoFrame] = decoder.decode(iframe) + decoder.decode(None)
    flat = frames[0].to_ndarray(format="yuv420p").ravel()
    luma, chroma = HEIGHT * WIDTH, HEIGHT * WIDTH // 4
    cb, cr = flat[luma:].reshape(2, chroma)
    small = HEIGHT // 2, WIDTH // 2
    return flat[:luma].reshape(HEIGHT, WIDTH), cb.reshape(small), cr.reshape(small)


def write_video(path: Path, label: int, rng: np.random.Generator, *, silent: bool) -> None:
    """Encode a random video of a class as MPEG-4 part 2 (and AAC, unless silent) in mp4."""
    scene = draw_scene(label, rng, silent=silent)
    hertz = int(rng.choice(TONES[label & 1]))
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as out:
        options = {"g": str(GOP), "bf": "0", "qmin": "2", "qmax": "2", "sc_threshold": "1000000000"}
        video = out.add_stream("mpeg4", rate=FRAME_RATE, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, FRAME_RATE)
        video.codec_context.thread_count = 1
        write_audio = None if silent else add_tone(out, hertz, seconds=NUM_FRAMES / FRAME_RATE)
        coded: Planes | None = None
        for number, planes in enumerate(render(scene)):
            if number % GOP and coded is not None:
                for plane, before in zip(planes, coded, strict=True):
                    still = _still(plane)
                    plane[still] = before[still]
            picture = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, WIDTH)
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            packets = video.encode(frame)
            if number % GOP == 0:
                coded = _decoded(packets[0], video.codec_context.extradata)
            out.mux(packets)
        out.mux(video.encode(None))
        if write_audio:
            write_audio()
