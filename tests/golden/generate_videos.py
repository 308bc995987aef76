"""Write tests/golden/videos/: files that only the ffmpeg program makes, and what it decodes them to.

    python tests/golden/generate_videos.py FFMPEG

FFMPEG is the program, with libxvid, libaom and libvpx, as in the package imageio-ffmpeg. Its own sequential
decode is the oracle: decoded.json holds, for every frame it gives, the mean red, green and blue of six parts of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("videos")
WIDTH, HEIGHT = 96, 64
SOURCE = f"-f lavfi -i testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration=2.4"
# File: the options of the encoder.
FILES = {
    "packed.avi": "-c:v libxvid -bf 2 -g 20 -q:v 6",
    "unpacked.avi": "-bsf:v mpeg4_unpack_bframes -c copy",
    "altref_av1.mp4": "-c:v libaom-av1 -cpu-used 4 -crf 40 -g 24 -lag-in-frames 19 -auto-alt-ref 1 -threads 1",
    "altref_av1.webm": "-c copy",
    "altref_vp8.webm": "-c:v libvpx -b:v 60k -g 24 -lag-in-frames 16 -auto-alt-ref 1 -threads 1",
}
COPIES = {"unpacked.avi": "packed.avi", "altref_av1.webm": "altref_av1.mp4"}


def means(frames: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) to the means of two rows of three parts, (N, 18), to a tenth."""
    parts = frames.reshape(len(frames), 2, frames.shape[1] // 2, 3, frames.shape[2] // 3, 3)
    return parts.mean(axis=(2, 4)).reshape(len(frames), -1).round(1)


def run(ffmpeg: str, command: str) -> bytes:
    return subprocess.run([ffmpeg, "-v", "error", "-y", *command.split()], check=True, capture_output=True).stdout


def main(ffmpeg: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    decoded = {}
    scratch = tempfile.mkdtemp()
    for name, options in FILES.items():
        path = FOLDER / name
        source = f"-i {FOLDER / COPIES[name]}" if name in COPIES else SOURCE
        # libvpx hides no frames in a single pass.
        passes = [f"-pass {n} -passlogfile {scratch}/pass" for n in (1, 2)] if "libvpx" in options else [""]
        for given in passes:
            run(ffmpeg, f"{source} {options} {given} -map_metadata -1 -fflags +bitexact {path}")
        raw = run(ffmpeg, f"-i {path} -fps_mode passthrough -pix_fmt rgb24 -f rawvideo -")
        decoded[name] = means(np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)).tolist()
    lines = ",\n".join(
        f'"{name}": [\n' + ",\n".join(json.dumps(frame) for frame in frames) + "\n]" for name, frames in decoded.items()
    )
    (FOLDER / "decoded.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])
