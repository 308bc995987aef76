from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import encoded
import numpy as np
import pytest
from memory import peak_mib

import vtbench
from vtbench.audio.waveform import read_audio
from vtbench.datasets.prepare import H264, Mpeg4, Reencoded, encode, folder, prepare
from vtbench.datasets.prepare.files import is_finished, seal_of
from vtbench.errors import DataError, RunError
from vtbench.video.decode import VideoReader
from vtbench.video.display import display_of
from vtbench.video.survey import survey

B = "bframes=3:b-adapt=0"
VP9 = {"deadline": "realtime", "cpu-used": "8"}


def prepared(source: Path, target: Path, **settings: int) -> Reencoded:
    return prepare(source, target, encoding=H264(**settings), report=lambda line: None)


def one(tmp_path: Path, make: Callable[[Path], Path], **settings: int) -> tuple[Path, Path]:
    """(video, what was made of it)."""
    path = make(tmp_path / "source")
    done = prepared(tmp_path / "source", tmp_path / "target", **settings)
    assert (done.encoded, done.failed) == (1, [])
    return path, (tmp_path / "target" / path.name).with_suffix(".mp4")


def tick_of(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(container.streams.video[0].time_base)


SOURCES = {
    "long groups": ("a.mp4", "libx264", encoded.x264(250, B), {}),
    "open groups": ("a.mkv", "libx264", encoded.x264(9, B, "open-gop=1"), {}),
    "mpeg-ts": ("a.ts", "libx264", encoded.x264(250, B), {}),
    "raw": ("a.h264", "libx264", encoded.x264(12, "bframes=0"), {}),
    "h264 in avi": ("a.avi", "libx264", encoded.x264(12, B), {}),
    "mpeg4 in avi, B-frames": ("a.avi", "mpeg4", {"bf": "2", "g": "9"}, {}),
    "vp9": ("a.webm", "libvpx-vp9", VP9, {}),
    "variable rate": ("a.mp4", "libx264", encoded.x264(250, B), {"pts": [n * n // 7 + n for n in range(40)]}),
    "variable rate, late": ("a.mkv", "libx264", encoded.x264(250, B), {"pts": [n * n // 7 + 99 for n in range(3, 43)]}),
    "film": ("a.mp4", "libx264", encoded.x264(250, B), {"rate": Fraction(24000, 1001)}),
    "film, ms": ("a.mkv", "libx264", encoded.x264(250, B), {"rate": Fraction(24000, 1001)}),
    "late, with sound": ("a.mp4", "libx264", encoded.x264(250, B), {"pts": range(51, 91), "sound": True}),
    "10 bits, 4:2:2": ("a.mkv", "libx264", encoded.x264(250, B), {"pix_fmt": "yuv422p10le"}),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_frames_and_their_times_are_those_of_the_source(kind: str, tmp_path: Path) -> None:
    name, codec, options, more = SOURCES[kind]

    def make(folder: Path) -> Path:
        return encoded.encode(folder / name, encoded.numbered(40), codec=codec, options=options, **more)

    old, new = one(tmp_path, make)
    with VideoReader(new) as reader:
        assert reader.has_index and reader.why_sequential is None
        assert [encoded.read_number(frame) for frame in reader.frames(range(40))] == list(range(40))
        reader.frames_decoded = 0
        reader.frames([23])
        assert reader.frames_decoded <= 12
    with av.open(str(old)) as container:
        begin = (container.start_time or 0) / av.time_base
        times = [frame.time for frame in container.decode(video=0)]
    if name in ("a.avi", "a.h264"):  # avi counts packets as they are coded, and raw streams state a rate alone
        times, begin = [n / 25 for n in range(40)], 0
    found = survey(new)
    # A stamp is exact unless the file begins with sound, whose ticks are others.
    tolerance = tick_of(new) if more.get("sound") else 1e-9
    assert tick_of(new) <= 1e-4
    assert found.times == pytest.approx([t - begin for t in times], abs=tolerance)
    assert (found.iframes, found.groups) == ([0, 12, 24, 36], [12, 12, 12, 4])
    assert (found.num_starts, found.closed) == (4, True)


def test_b_frames_are_used_and_groups_are_closed(tmp_path: Path) -> None:
    def make(folder: Path) -> Path:
        return encoded.encode(folder / "a.mp4", encoded.numbered(40), options=encoded.x264(250))

    _, new = one(tmp_path, make)
    assert "B" in survey(new).kinds
    data = new.read_bytes()
    assert re.search(rb"open_gop=0 .*keyint=12 .*scenecut=0 .*crf=18\.0", data)


@pytest.mark.parametrize(
    ("size", "short_side", "becomes"),
    [
        *(((96, 64), None, (96, 64)), ((95, 63), None, (94, 62)), ((95, 64), None, (94, 64))),
        *(((96, 64), 32, (48, 32)), ((64, 96), 32, (32, 48)), ((97, 65), 32, (48, 32)), ((92, 64), 32, (46, 32))),
        *(((96, 64), 64, (96, 64)), ((96, 64), 256, (96, 64)), ((95, 63), 256, (94, 62)), ((64, 63), 62, (62, 62))),
    ],
)
def test_sides_are_even_and_nothing_is_enlarged(
    tmp_path: Path, size: tuple[int, int], short_side: int | None, becomes: tuple[int, int]
) -> None:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    picture = np.stack([x * 255 // size[0], y * 255 // size[1], np.full_like(x, 99)], -1).astype(np.uint8)

    def make(folder: Path) -> Path:
        return encoded.encode(folder / "a.mkv", [picture] * 3, codec="ffv1", pix_fmt="yuv444p")

    old, new = one(tmp_path, make, short_side=short_side)
    with VideoReader(old) as before, VideoReader(new) as after:
        wide, made = before.frames([1])[0], after.frames([1])[0]
    assert made.shape == (becomes[1], becomes[0], 3)
    rows = np.round((np.arange(becomes[1]) + 0.5) * size[1] / becomes[1] - 0.5).astype(int)
    columns = np.round((np.arange(becomes[0]) + 0.5) * size[0] / becomes[0] - 0.5).astype(int)
    if short_side is None or short_side >= min(size):  # cut, not scaled
        rows, columns = np.arange(becomes[1]), np.arange(becomes[0])
    assert np.abs(wide[rows][:, columns].astype(int) - made).mean() < 3


@pytest.mark.parametrize("short_side", [None, 48])
def test_a_video_of_a_phone_held_upright_comes_out_upright(tmp_path: Path, short_side: int | None) -> None:
    def make(folder: Path) -> Path:
        path = encoded.encode(folder / "a.mp4", encoded.numbered(14), options=encoded.x264(250, B), sound=True)
        data = bytearray(path.read_bytes())
        at = data.index(b"tkhd") + 4 + 40
        for place, value in zip((0, 4, 12, 16), (0, 1, -1, 0), strict=True):  # 90 degrees clockwise
            data[at + place : at + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
        path.write_bytes(data)
        return path

    old, new = one(tmp_path, make, short_side=short_side)
    with VideoReader(new) as reader:
        frames = reader.frames(range(14))
        assert not display_of(next(reader.sequential()), new).changes
    if short_side is None:
        assert frames.shape == (14, encoded.WIDTH, encoded.HEIGHT, 3)
        with VideoReader(old) as reader:
            assert np.abs(reader.frames(range(14)).astype(int) - frames).mean() < 8
        lying = np.rot90(frames, axes=(1, 2))
        assert [encoded.read_number(frame) for frame in lying] == list(range(14))
    else:
        assert frames.shape == (14, 72, 48, 3)


BT709, FULL = 1, 2  # FFmpeg's AVCOL_SPC_BT709, AVCOL_RANGE_JPEG
UNSTATED = 2


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "matrix", "range_", "tags"),
    [
        ("libx264", "yuv420p", None, None, (UNSTATED, 0)),  # x264 writes neither
        ("libx264", "yuv420p", 6, 1, (6, 1)),
        ("libx264", "yuv420p", BT709, 1, (BT709, 1)),
        ("libx264", "yuv420p", BT709, FULL, (BT709, FULL)),
        ("libx264", "yuv420p10le", BT709, 1, (BT709, 1)),
        ("libx264", "yuvj420p", None, FULL, (UNSTATED, FULL)),
        ("libx264", "yuvj420p", BT709, FULL, (BT709, FULL)),
        ("libx264", "yuv420p10le", 9, 1, (BT709, 1)),
        ("mjpeg", "yuvj422p", None, FULL, (5, FULL)),
        ("ffv1", "bgr0", None, None, (BT709, 1)),
        ("png", "rgb24", None, None, (BT709, 1)),
    ],
)
@pytest.mark.parametrize("scaled", [False, True])
def test_colours_stay_whatever_matrix_and_range_the_file_has(
    tmp_path: Path,
    codec: str,
    pix_fmt: str,
    matrix: int | None,
    range_: int | None,
    tags: tuple[int, int],
    scaled: bool,
) -> None:
    colours = np.array([(254, 0, 0), (0, 200, 30), (40, 60, 250), (255, 255, 255), (0, 0, 0), (90, 90, 90)], np.uint8)
    picture = np.repeat(np.repeat(colours[None], 64, 0), 16, 1)
    path = tmp_path / "source" / ("a.mov" if codec == "png" else "a.mkv")
    path.parent.mkdir()
    options = {"crf": "2", **encoded.x264(12)} if codec == "libx264" else {"qmin": "1", "qmax": "2"}
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25, options=options if codec != "png" else {})
        video.width, video.height, video.pix_fmt = 96, 64, pix_fmt
        context = video.codec_context
        context.colorspace, context.color_range = matrix or context.colorspace, range_ or context.color_range
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if pix_fmt != "rgb24":
                to = {6: 5}.get(matrix, matrix)  # swscale's number of BT.601
                frame = frame.reformat(format=pix_fmt, dst_colorspace=to, dst_color_range=range_)
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    side = 32 if scaled else None
    assert prepared(tmp_path / "source", tmp_path / "target", crf=4, short_side=side).failed == []
    new = tmp_path / "target" / "a.mp4"
    for file, width in ((path, 16), (new, 8 if scaled else 16)):
        with VideoReader(file) as reader:
            frames = reader.frames([1])[0]
        found = frames.reshape(-1, 6, width, 3)[:, :, width // 4 : -width // 4].mean((0, 2))
        assert np.abs(found - colours).max() < 7, file
    with av.open(str(new)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == tags
        assert frame.format.name == ("yuvj420p" if tags[1] == FULL else "yuv420p")


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize(("name", "copied"), [("a.mp4", True), ("a.mkv", True), ("a.ts", False), ("a.avi", True)])
@pytest.mark.parametrize("first", [0, 30])
def test_audio_is_the_same_and_in_step(tmp_path: Path, name: str, copied: bool, first: int) -> None:
    def make(folder: Path) -> Path:
        stamps = range(first, first + 50)
        return encoded.encode(folder / name, encoded.numbered(50), options=encoded.x264(250, B), sound=True, pts=stamps)

    old, new = one(tmp_path, make)
    if copied:
        assert packets(new) == packets(old)
    before, after = read_audio(old), read_audio(new)
    assert after.has_track and after.damaged_packets == 0
    assert after.picture_s == pytest.approx(before.picture_s, abs=0.002)
    assert after.start_s == pytest.approx(before.start_s, abs=0.07 if name == "a.avi" else 0.002)
    if name == "a.mp4":
        length = min(len(before.waveform), len(after.waveform))
        assert np.abs(before.waveform[:length] - after.waveform[:length]).max() < 1e-3


def test_audio_that_mp4_does_not_hold_becomes_aac(tmp_path: Path) -> None:
    def make(folder: Path) -> Path:
        folder.mkdir()
        with av.open(str(folder / "a.avi"), "w") as out:
            video = out.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = encoded.WIDTH, encoded.HEIGHT, "yuv420p"
            audio = out.add_stream("pcm_s16le", rate=44100, layout="mono")
            for picture in encoded.numbered(25):
                out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            out.mux(video.encode(None))
            wave = (3000 * np.sin(np.arange(44100) / 20)).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            sound.sample_rate, sound.pts = 44100, 0
            out.mux(audio.encode(sound))
            out.mux(audio.encode(None))
        return folder / "a.avi"

    old, new = one(tmp_path, make)
    with av.open(str(new)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.audio[0].codec_context.sample_rate == 44100
    before, after = read_audio(old), read_audio(new)
    assert np.abs(before.waveform[2000:14000] - after.waveform[2000:14000]).max() < 0.02


def test_a_changed_recipe_encodes_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    encoded.encode(source / "a.mp4", encoded.numbered(14), options=encoded.x264(250))
    recipe: dict[str, int] = {}
    assert prepared(source, target).encoded == 1
    for change in ({"crf": 30}, {"short_side": 32}, {"gop": 7}):
        recipe |= change
        assert prepared(source, target, **recipe).encoded == 1
        assert prepared(source, target, **recipe).kept == 1
    with VideoReader(target / "a.mp4") as reader:
        assert reader.frames([0]).shape == (1, 32, 48, 3)
    assert survey(target / "a.mp4").groups == [7, 7]
    done = prepare(source, target, encoding=Mpeg4((48, 32)), report=lambda line: None)
    assert (done.encoded, done.kept) == (1, 0)


def test_files_of_older_versions_are_kept() -> None:
    """Their seals name the recipe in these words."""
    assert Mpeg4().text == "mpeg4 340x256 gop=12 quantiser=1"


def test_quality_is_as_asked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    path = encoded.encode(source / "a.mkv", encoded.numbered(20), codec="ffv1", pix_fmt="yuv420p")
    sizes, errors = [], []
    for crf in (0, 18, 35):
        assert prepared(source, tmp_path / str(crf), crf=crf).failed == []
        new = tmp_path / str(crf) / "a.mp4"
        with VideoReader(path) as before, VideoReader(new) as after:
            difference = before.frames(range(20)).astype(int) - after.frames(range(20))
        sizes.append(new.stat().st_size)
        errors.append(np.mean(difference**2))
    assert errors[0] == 0
    assert sizes[0] > sizes[1] > sizes[2]
    assert 10 * np.log10(255**2 / errors[1]) > 35 > 10 * np.log10(255**2 / errors[2])


def many(source: Path, count: int) -> None:
    for number in range(count):
        encoded.encode(source / f"{number}.mp4", encoded.numbered(60), options=encoded.x264(250), sound=True)


def test_a_killed_run_leaves_nothing_half_and_is_resumed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    many(source, 30)
    script = f"from vtbench.datasets.prepare import prepare; prepare({str(source)!r}, {str(target)!r})"
    environment = {**os.environ, "PYTHONPATH": str(Path(vtbench.__file__).parent.parent)}
    running = subprocess.Popen([sys.executable, "-c", script], env=environment)
    try:
        for _ in range(2000):
            if len(list(target.glob("*.mp4"))) >= 2:
                break
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    finally:
        running.kill()
        running.wait()
    there = {path.name: path.stat().st_mtime_ns for path in target.glob("*.mp4")}
    assert 2 <= len(there) < 30, "killed too early or too late"
    assert all(seal[1] for seal in map(seal_of, target.glob("*.mp4")))
    assert not (target / "prepared.json").exists()
    done = prepared(source, target)
    assert (done.encoded, done.kept, done.failed) == (30 - len(there), len(there), [])
    assert all((target / name).stat().st_mtime_ns == changed for name, changed in there.items())
    assert (target / "prepared.json").exists()


def test_several_processes_do_the_same_and_a_bad_file_stops_none(tmp_path: Path) -> None:
    source = tmp_path / "source"
    many(source, 4)
    (source / "bad.mp4").write_text("not a video\n" * 50)
    cut = (source / "0.mp4").read_bytes()
    (source / "cut.mp4").write_bytes(cut[: len(cut) // 2])
    lines: list[str] = []
    for workers in (1, 2):
        done = prepare(source, tmp_path / str(workers), workers=workers, report=lines.append)
        assert (done.encoded, done.kept) == (4, 0)
        named = sorted(line.split(": ")[0] for line in done.failed)
        assert named == [str(source / "bad.mp4"), str(source / "cut.mp4")]
        assert not any("\n" in line for line in lines)
    for number in range(4):
        one, two = ((tmp_path / folder / f"{number}.mp4").read_bytes() for folder in ("1", "2"))
        assert one == two


def test_a_process_that_is_killed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    many(source, 2)
    monkeypatch.setattr(folder, "_outcome", _ended)
    with pytest.raises(RunError, match="fewer workers"):
        prepare(source, tmp_path / "target", workers=2, report=lambda line: None)


def _ended(*_: object) -> str:
    os._exit(9)


def test_frames_of_several_sizes_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    small = encoded.encode(tmp_path / "b.h264", (n[:32] for n in encoded.numbered(5)), options=encoded.x264(12))
    large = encoded.encode(tmp_path / "a.h264", encoded.numbered(5), options=encoded.x264(12))
    source.mkdir()
    (source / "a.h264").write_bytes(large.read_bytes() + small.read_bytes())
    (line,) = prepared(source, tmp_path / "target").failed
    assert "frame size changes within the file (frame 5)" in line


# -- checks ------------------------------------------------------------------------------------------------------------


def fails(tmp_path: Path) -> str:
    """Why the one video, which is sound, is refused."""
    source, target = tmp_path / "source", tmp_path / "target"
    path = encoded.encode(source / "a.mp4", encoded.numbered(30), options=encoded.x264(12))
    line = "".join(prepared(source, target).failed)
    assert line.startswith(f"{path}: ") and ".part" not in line
    assert [p.name for p in target.iterdir()] == ["prepared.json"]
    return line


def test_a_file_whose_frames_are_shown_at_other_times_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_whole = encode._encode

    def late(*arguments: object) -> tuple[list[int], int]:
        stamps, ticks = encode_whole(*arguments)
        return [*stamps[:7], stamps[7] + 2, *stamps[8:]], ticks

    monkeypatch.setattr(encode, "_encode", late)
    assert "shows frame 7 at 0.28 s in place of 0.28" in fails(tmp_path)


def test_a_file_of_which_a_frame_is_missing_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_whole = encode._encode

    def more(*arguments: object) -> tuple[list[int], int]:
        stamps, ticks = encode_whole(*arguments)
        return [*stamps, stamps[-1] + 500], ticks

    monkeypatch.setattr(encode, "_encode", more)
    assert "has 30 frames of 31" in fails(tmp_path)


@pytest.mark.parametrize(
    ("asked", "given", "words"),
    [
        ("keyint=12", "keyint=9", "I-frames elsewhere than every 12 frames"),
        ("open-gop=0", "open-gop=1", "cannot be read from each I-frame on"),
    ],
)
def test_other_groups_than_asked_for_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, given: str, words: str
) -> None:
    add_video = H264.add_video

    def other(*arguments: object) -> av.VideoStream:
        stream = add_video(*arguments)
        options = dict(stream.codec_context.options)
        assert asked in options["x264-params"]
        options["x264-params"] = options["x264-params"].replace(asked, given)
        stream.codec_context.options = options
        return stream

    monkeypatch.setattr(H264, "add_video", other)
    assert words in fails(tmp_path)


# -- what lies beside the videos ---------------------------------------------------------------------------------------


def test_annotations_come_along_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    encoded.encode(source / "v" / "a.webm", encoded.numbered(5), codec="libvpx-vp9", options=VP9)
    texts = {
        "trainlist01.txt": b"v/a.avi 1\r\n",
        "ann/train.json": b'[{"id": "1", "label": "caf\xc3\xa9"}]',
        "ann/kinetics.CSV": b"label,youtube_id\nx,\xff\n",
        "v/notes.txt": b"",
    }
    for name, content in texts.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(content)
    (source / "train.csv").write_text("path,label\nv/a.webm,3\n")
    (source / "README.md").write_text("no annotation")
    (source / "prepared.json").write_text("of an earlier encoding")
    (source / "large.txt").write_bytes(b"x" * 100)
    monkeypatch.setattr("vtbench.datasets.prepare.lists.MAX_TEXT", 99)
    done = prepared(source, target)
    assert len(done.failed) == 1 and "large.txt: is larger than" in done.failed[0]
    assert sorted(p.relative_to(target).as_posix() for p in done.copied) == sorted(texts)
    assert all((target / name).read_bytes() == content for name, content in texts.items())
    assert (target / "train.csv").read_text() == "path,label\nv/a.mp4,3\n"
    found = sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file())
    assert found == sorted([*texts, "v/a.mp4", "train.csv", "prepared.json"])


def test_folders_of_frames_are_no_videos(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "1").mkdir(parents=True)
    (source / "1" / "00001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"has no videos but JPEG frames \(1/00001.jpg\), which need no re-encoding"):
        prepared(source, tmp_path / "target")


def test_frames_are_let_go_of_one_by_one(tmp_path: Path) -> None:
    """150 of 1920 x 1080 are 470 MB in the decoder's format."""
    pictures = (np.full((1080, 1920, 3), n, np.uint8) for n in range(150))
    encoded.encode(tmp_path / "source" / "a.mp4", pictures, options={"preset": "ultrafast"})
    script = (
        "import sys; from vtbench.datasets.prepare import H264, prepare\n"
        "prepare(*sys.argv[1:], encoding=H264(short_side=64))\n"
    )
    assert peak_mib(script, tmp_path / "source", tmp_path / "target") < 250


def test_numbers_out_of_range() -> None:
    for numbers in ({"crf": -1}, {"crf": 52}, {"gop": 1}, {"gop": 601}):
        with pytest.raises(ValueError, match=r"crf .* must be 0 to 51, gop .* 2 to 600"):
            H264(**numbers)
    for side in (0, 14, 255):
        with pytest.raises(ValueError, match="short side"):
            H264(short_side=side)


def test_a_seal_names_what_a_file_was_made_of(tmp_path: Path) -> None:
    def make(folder: Path) -> Path:
        return encoded.encode(folder / "a.mp4", encoded.numbered(5), options=encoded.x264(12))

    old, new = one(tmp_path, make, short_side=32)
    status = old.stat()
    made_of = f"vtbench h264 crf=18 gop=12 short_side=32 source={status.st_size},{status.st_mtime_ns}"
    assert is_finished(new, made_of)
    assert seal_of(new) == (made_of, True)
    assert seal_of(old) is None
    data = bytearray(new.read_bytes())
    data[len(data) // 3] ^= 1
    new.write_bytes(data)
    assert seal_of(new) == (made_of, False)
