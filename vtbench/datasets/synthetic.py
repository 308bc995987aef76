"""Three sets of real encoded video (H.264 + AAC in mp4) whose labels are known by construction.

A bright shape on a dark, graded background sits at one of eight places on a ring (place 0 at the top, or north, place 2
to the right, or east). A still scene - background, colours, ring, shape - is drawn at random per video; nothing but the
places depends on the label. Time is cut into holds of HOLD frames during which nothing moves.

- `cycle`: the shape steps round the ring by +1, -1, +3 or -3 places per hold. All four steps are prime to 8, so any
  eight holds in a row show all eight places once: the classes show *the same frames in another order*, and no function
  of the unordered set of frames can tell them apart. Only the order carries the label.
- `events`: the shape flashes once at each of four places (north, east, south, west) in four of eight holds, in random
  order; the other holds are empty. The label is the place that came first. Again every video of a scene shows the same
  eight frames; telling the first flash takes a comparison with flashes up to seven holds away.
- `stills`: one hold, one place; the label is the place. A task for single frames, on which the frame-wise network is
  pretrained in place of ImageNet.

That the frames are the same after encoding, to the bit, is a matter of coding each hold on its own: every hold starts
with a forced keyframe of a closed group, at a constant quantiser, without B-frames, lookahead or any rate control that
remembers. A decoded frame then depends on the scene, the place and its position within the hold alone.

Sampling at stride HOLD with 8 frames takes one frame of each of eight holds in a row, whatever the start: cycle videos
go on moving for CYCLE_HOLDS holds; events videos have 8 holds plus HOLD - 1 frames that no such clip reaches, so that
starts 0 to HOLD - 1 all see each hold once.

Mirroring left and right turns place p into -p mod 8: steps +1 and -1, +3 and -3, east and west change places.

`bits` and `silent_bits`, whose label is spread over the modalities of compressed video, are drawn by bits.py; how sets
are written and found is the same for all.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vtbench.datasets import bits
from vtbench.datasets.base import Entry, VideoData
from vtbench.datasets.tone import add_tone
from vtbench.errors import DataError, did_you_mean

__all__ = [
    "CLASSES",
    "FLIP_LABELS",
    "HOLD",
    "Cycle",
    "Events",
    "Scene",
    "Stills",
    "default_root",
    "draw_places",
    "draw_scene",
    "generate",
    "render",
    "write_video",
]

PLACES = 8
HOLD = 4  # frames during which nothing moves; sample with this stride
CYCLE_HOLDS = 10  # eight are sampled, the rest is room for random starts
EVENT_HOLDS = 8
STEPS = (1, -1, 3, -3)
EVENT_PLACES = (0, 2, 4, 6)
NOWHERE = -1  # an empty hold
WIDTH, HEIGHT = 48, 40  # pixels
FRAME_RATE = 25  # frames per second
TONES = (220, 262, 330, 392, 494, 587, 698, 880)  # Hz

CLASSES = {
    "cycle": ("plus_one", "minus_one", "plus_three", "minus_three"),
    "events": ("north", "east", "south", "west"),
    "stills": ("north", "north_east", "east", "south_east", "south", "south_west", "west", "north_west"),
    "bits": bits.classes(silent=False),
    "silent_bits": bits.classes(silent=True),
}
FLIP_LABELS = {
    "cycle": {0: 1, 1: 0, 2: 3, 3: 2},
    "events": {1: 3, 3: 1},
    "stills": {p: -p % PLACES for p in range(PLACES) if -p % PLACES != p},
    "bits": bits.flip_labels(silent=False),
    "silent_bits": bits.flip_labels(silent=True),
}

_SPLITS = {"train": "train.csv", "validation": "validation.csv"}
_MARKER = "generated.json"
_VERSION = 1  # raise it whenever generated pixels change, so that old folders are not taken for new ones
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


def draw_places(name: str, label: int, rng: np.random.Generator) -> list[int]:
    """The place in each frame of a random video of class `label` of the set `name`."""
    if name == "cycle":
        first = int(rng.integers(PLACES))
        holds = [(first + STEPS[label] * h) % PLACES for h in range(CYCLE_HOLDS)]
        extra = 0
    elif name == "events":
        holds = [NOWHERE] * (EVENT_HOLDS + 1)
        others = [p for p in EVENT_PLACES if p != EVENT_PLACES[label]]
        order = [EVENT_PLACES[label], *rng.permutation(others).tolist()]
        for hold, place in zip(sorted(rng.choice(EVENT_HOLDS, size=4, replace=False)), order, strict=True):
            holds[hold] = place
        extra = 1  # the last hold is cut by a frame
    else:
        holds, extra = [label], 0
    places = [place for place in holds for _ in range(HOLD)]
    return places[: len(places) - extra]


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
        write_sound = add_tone(out, scene.tone, seconds=len(places) / FRAME_RATE)
        for n, place in enumerate(places):
            frame = pictures[place]  # the encoder copies it, so one picture serves many frames
            frame.pts, frame.time_base = n, Fraction(1, FRAME_RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        write_sound()


def _settings(name: str, num_train: int, num_test: int, seed: int) -> dict[str, Any]:
    if name not in CLASSES:
        raise DataError(f"no synthetic set '{name}'{did_you_mean(name, CLASSES)}")
    if min(num_train, num_test) < 1:
        raise DataError(
            f"synthetic set '{name}': {num_train} training and {num_test} test videos asked; at least 1 each"
        )
    return {"name": name, "num_train": num_train, "num_test": num_test, "seed": seed, "version": _VERSION}


def default_root(name: str, *, num_train: int, num_test: int, seed: int = 0) -> Path:
    """`data/<name>-<hash of the settings>`: sets with other settings never share a folder."""
    settings = json.dumps(_settings(name, num_train, num_test, seed), sort_keys=True)
    return Path("data") / f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


def generate(root: str | Path, name: str, *, num_train: int, num_test: int, seed: int = 0) -> Path:
    """Write the set `name` (one of CLASSES) under `root`, unless it is there already; returns `root`.

    root/train.csv and root/validation.csv (path,label) list root/train/*.mp4 and root/validation/*.mp4; labels take
    turns, everything else is drawn from (seed, split, number of the video), so a shorter set is the beginning of a
    longer one. The folder appears under its name only when it is complete; a generation that was cut off starts again,
    and of several processes one generates while the others wait.

    Raises DataError if `root` holds anything else, or the set with other settings, or cannot be written.
    """
    root, settings = Path(root), _settings(name, num_train, num_test, seed)
    if _is_complete(root, settings):
        return root
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with _lock(root.parent / f".{root.name}.lock"):
            if _is_complete(root, settings):
                return root
            part = root.parent / f".{root.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            for split, (folder, manifest) in enumerate(_SPLITS.items()):
                (part / folder).mkdir(parents=True)
                lines = ["path,label"]
                for number in range((num_train, num_test)[split]):
                    rng = np.random.default_rng([seed, split, number])
                    label = number % len(CLASSES[name])
                    _write(name, part / folder / f"{number:05d}.mp4", label, rng)
                    lines.append(f"{folder}/{number:05d}.mp4,{label}")
                (part / manifest).write_text("\n".join(lines) + "\n")
            (part / _MARKER).write_text(json.dumps(settings, sort_keys=True) + "\n")
            part.rename(root)
    except OSError as error:
        raise DataError(
            f"{root}: cannot write the synthetic set '{name}': {error}; free space there or choose a writable folder "
            f"(--data {name}=PATH)"
        ) from error
    return root


def _write(name: str, path: Path, label: int, rng: np.random.Generator) -> None:
    if name in ("bits", "silent_bits"):
        bits.write_video(path, label, rng, silent=name == "silent_bits")
    else:
        scene = draw_scene(rng)
        write_video(path, scene, draw_places(name, label, rng))


def _is_complete(root: Path, settings: dict[str, Any]) -> bool:
    """Whether `root` holds the asked set; False if there is nothing; DataError if there is something else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / _MARKER).read_text())
    except (OSError, ValueError):
        found = None
    if found != settings:
        what = "another set" if found is None else f"the set {found}"
        raise DataError(
            f"{root}: holds {what}, not {settings}; choose another folder (--data {settings['name']}=PATH) or remove it"
        )
    return True


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold `path` against other processes; released by the system if this one dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Synthetic(VideoData):
    """A synthetic set, generated under `root` on first use (default: `default_root`). num_train, num_test: number of
    videos, data_seed: what they are drawn from; num_classes and flip_labels are the set's own, and checked if given;
    the other arguments are VideoData's."""

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        num_classes: int | None = None,
        flip_labels: Mapping[int, int] | None = None,
        num_train: int = 1024,
        num_test: int = 256,
        data_seed: int = 0,
        **video_data: Any,
    ) -> None:
        known = len(CLASSES[self.dataset_name])
        if num_classes not in (None, known):
            raise DataError(f"synthetic set '{self.dataset_name}' has {known} classes, not {num_classes}")
        if flip_labels is not None and dict(flip_labels) != FLIP_LABELS[self.dataset_name]:
            raise DataError(
                f"mirroring '{self.dataset_name}' changes labels by {FLIP_LABELS[self.dataset_name]}, not {flip_labels}"
            )
        self.num_train, self.num_test, self.data_seed = num_train, num_test, data_seed
        super().__init__(
            root=root or default_root(self.dataset_name, num_train=num_train, num_test=num_test, seed=data_seed),
            num_classes=known,
            flip_labels=FLIP_LABELS[self.dataset_name],
            **video_data,
        )

    def prepare_data(self) -> None:
        """Generate the videos if they are not there."""
        generate(self.root, self.dataset_name, num_train=self.num_train, num_test=self.num_test, seed=self.data_seed)

    def _list(self, split: str) -> list[Entry]:
        if not self._entries:
            self.prepare_data()
        return super()._list(split)


class Cycle(_Synthetic):
    """Which way and how far a shape steps round a ring; classes CLASSES["cycle"]."""

    dataset_name: ClassVar[str] = "cycle"


class Events(_Synthetic):
    """Which of four flashes came first; classes CLASSES["events"]."""

    dataset_name: ClassVar[str] = "events"


class Stills(_Synthetic):
    """Where on the ring the shape is; classes CLASSES["stills"]."""

    dataset_name: ClassVar[str] = "stills"


class Bits(_Synthetic):
    """A bit of the label in each of four modalities (see bits.py); classes CLASSES["bits"]."""

    dataset_name: ClassVar[str] = "bits"


class SilentBits(_Synthetic):
    """The same without sound; classes CLASSES["silent_bits"]."""

    dataset_name: ClassVar[str] = "silent_bits"
