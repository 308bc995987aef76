"""Write clips.json: which frames the official codes of TokenShift, LAPS and PST take of videos of 1 to 400 frames.

    python tests/golden/generate_clips.py --tokenshift <checkout of VideoNetworks/TokShift-Transformer> \
        --laps <checkout of VideoNetworks/LAPS-transformer> --pst <checkout of MartinXM/TPS>

The codes run as they are. TokenShift's opens one picture a frame, which stands here for its number. LAPS's decodes: it
is given H.264 files whose frames show their number. Of PST's only the class SampleFrames is run, without mmcv. Nothing
of them is copied; the file says which commits were run.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import tempfile
import types
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np

LENGTHS = range(1, 401)


def module_of(checkout: Path, file: str) -> types.ModuleType:
    module = types.ModuleType("official")
    exec(compile(git(checkout, "show", f"HEAD:{file}"), file, "exec"), module.__dict__)
    return module


# ---- TokenShift ------------------------------------------------------------------------------------------------------


def tokenshift(checkout: Path) -> dict[str, Any]:
    """10 test clips of 8 frames, 32 apart, and the first and last start of training."""
    code: Any = module_of(checkout, "data/dataset.py")
    opened = mock.Mock(side_effect=lambda path: mock.Mock(convert=lambda mode: int(Path(path).name) - 1))
    tests, starts = [], []
    with mock.patch.object(code.Image, "open", opened):
        for n in LENGTHS:
            tests.append(code.read_clip(Path(), n, "{}", 8, 32, 10))
            bounds: list[int] = []
            with mock.patch.object(code.np.random, "randint", lambda low, high: bounds.extend((low, high - 1)) or low):  # noqa: B023
                code.read_random_clip(Path(), n, "{}", 8, 32)
            starts.append(bounds or [0, 0])
    return {"starts": starts, "test": compact(tests, 32)}


# ---- PST -------------------------------------------------------------------------------------------------------------


def pst(checkout: Path) -> dict[str, Any]:
    """4 test clips of 32 frames, 2 apart, the first and last start of training, and the test frames of 32 segments."""
    source = git(checkout, "show", "HEAD:mmaction/datasets/pipelines/loading.py")
    (found,) = (n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == "SampleFrames")
    found.decorator_list = []
    names: dict[str, Any] = {"np": np, "random": None, "warnings": None}
    exec(compile(ast.Module([found], []), "loading.py", "exec"), names)
    np.int = int  # type: ignore[attr-defined]  # gone from numpy
    sample = names["SampleFrames"]

    def frames(n: int, **options: Any) -> list[int]:
        return sample(32, **options)({"total_frames": n, "start_index": 0})["frame_inds"].tolist()

    tests = [
        np.array(frames(n, frame_interval=2, num_clips=4, test_mode=True)).reshape(4, 32).tolist() for n in LENGTHS
    ]
    starts = []
    for n in LENGTHS:
        bounds: list[int] = []
        draw = lambda high, size: bounds.extend((0, high - 1)) or np.zeros(size, int)  # noqa: B023, E731
        with mock.patch.object(np.random, "randint", draw):
            frames(n, frame_interval=2, num_clips=1)
        starts.append(bounds or [0, 0])
    segments = [frames(n, frame_uniform=True, test_mode=True) for n in LENGTHS]
    return {"starts": starts, "test": compact(tests, 2), "segments": segments}


# ---- LAPS ------------------------------------------------------------------------------------------------------------


def laps(checkout: Path) -> dict[str, Any]:
    """5 test clips of 8 and of 32 frames with stride 8."""
    code: Any = module_of(checkout, "data/decoder.py")
    code.gc = mock.Mock()  # collecting after every file takes most of the time
    found: dict[str, Any] = {"test8": [], "test32": []}
    with tempfile.TemporaryDirectory() as folder:
        for n in LENGTHS:
            write(file := Path(folder) / "v.mp4", n)
            for frames in (8, 32):
                clips = [numbers(code.decode(av.open(str(file)), 8, frames, clip, 5)) for clip in range(5)]
                found[f"test{frames}"].append(clips)
    return {name: [[clip[0] for clip in clips] for clips in tests] for name, tests in found.items()} | {
        "spread8": [found["test8"][n - 1][0] for n in (40, 64, 400)],
        "spread32": [found["test32"][n - 1][0] for n in (100, 256, 400)],
    }


def write(file: Path, n: int) -> None:
    """A video of n frames that show their numbers in nine bars."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for number in range(n):
            picture = np.zeros((32, 64, 3), np.uint8)
            for bit in range(9):
                picture[:, 7 * bit : 7 * bit + 7] = 255 * (number >> bit & 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def numbers(frames: Any) -> list[int]:
    return [
        sum(1 << bit for bit in range(9) if frame[:, 7 * bit + 2 : 7 * bit + 5].mean() > 127)
        for frame in frames.numpy()
    ]


# ---- the file --------------------------------------------------------------------------------------------------------


def compact(tests: list[list[list[int]]], stride: int) -> list[list[int]]:
    """The starts of clips whose other frames follow at the stride, beginning again at the end of the video."""
    for n, clips in zip(LENGTHS, tests, strict=True):
        for clip in clips:
            assert clip == [(clip[0] + stride * i) % n for i in range(len(clip))], (n, clip)
    return [[clip[0] for clip in clips] for clips in tests]


def git(checkout: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    codes = {"tokenshift": tokenshift, "laps": laps, "pst": pst}
    for name in codes:
        parser.add_argument(f"--{name}", type=Path, required=True)
    checkouts = vars(parser.parse_args())
    golden = {
        name: {"commit": git(checkouts[name], "rev-parse", "HEAD").strip(), **run(checkouts[name])}
        for name, run in codes.items()
    }
    path = Path(__file__).with_name("clips.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
