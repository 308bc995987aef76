from __future__ import annotations

import os
import time
from fractions import Fraction
from pathlib import Path

import av
import encoded
import numpy as np
import pytest

from vtbench.datasets.prepare import Mpeg4, Reencoded, encode, prepare
from vtbench.errors import DataError
from vtbench.video.compressed import CompressedReader
from vtbench.video.decode import VideoReader

SIZE = (encoded.WIDTH, encoded.HEIGHT)


def prepared(source: Path, target: Path, size: tuple[int, int] = SIZE, **options: int) -> Reencoded:
    return prepare(source, target, encoding=Mpeg4(size, **options), report=lambda line: None)


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.codec_context.codec.canonical_name for stream in container.streams]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Videos of several kinds, one of them no video, and two lists."""
    folder = tmp_path / "source"
    options = encoded.x264(250, "bframes=3:b-adapt=0")
    encoded.encode(folder / "train" / "a.mp4", encoded.numbered(26), options=options, sound=True)
    vp9 = {"deadline": "realtime", "cpu-used": "8"}
    encoded.encode(folder / "train" / "b.webm", encoded.numbered(13), codec="libvpx-vp9", options=vp9)
    encoded.encode(folder / "c.avi", encoded.numbered(25), codec="mpeg4", options={"bf": "2", "g": "9"})
    (folder / "bad.mp4").write_text("not a video\n" * 50)
    (folder / "train.csv").write_text("path,label\ntrain/a.mp4,0\ntrain/b.webm,1\nbad.mp4,1\n")
    (folder / "validation.csv").write_text(f'path,label\nc.avi,"one, two"\n{folder / "train" / "a.mp4"},0\n')
    (folder / "other.csv").write_text("name,age\nc.avi,3\n")
    return folder


def test_a_folder_is_made_readable_once(source: Path, tmp_path: Path) -> None:
    target, lines = tmp_path / "target", []
    done = prepare(source, target, encoding=Mpeg4(SIZE), report=lines.append)
    assert (done.encoded, done.kept) == (3, 0)
    assert lines == done.failed
    assert len(lines) == 1
    assert str(source / "bad.mp4") in lines[0]
    assert "\n" not in lines[0]
    assert sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()) == [
        *("c.mp4", "other.csv", "prepared.json", "train.csv", "train/a.mp4", "train/b.mp4", "validation.csv")
    ]
    for name, count in (("c.mp4", 25), ("train/a.mp4", 26), ("train/b.mp4", 13)):
        with CompressedReader(target / name) as reader:
            assert reader.gops == [(k, min(k + 12, count)) for k in range(0, count, 12)]
            frames = reader.frames(range(count))
            assert reader.motion(range(1, 12))[0].any()
        assert frames.shape[1:] == (encoded.HEIGHT, encoded.WIDTH, 3)
        assert [encoded.read_number(frame) for frame in frames] == list(range(count))
    assert streams(target / "train" / "a.mp4") == ["mpeg4", "aac"]
    assert streams(target / "c.mp4") == ["mpeg4"]
    # The line of the file that failed stays, so that reading the set names it.
    assert (target / "train.csv").read_text() == "path,label\ntrain/a.mp4,0\ntrain/b.mp4,1\nbad.mp4,1\n"
    assert (target / "validation.csv").read_text() == f'path,label\nc.mp4,"one, two"\n{target / "train" / "a.mp4"},0\n'

    times = {p: p.stat().st_mtime_ns for p in target.rglob("*.mp4")}
    (source / "bad.mp4").unlink()
    again = prepare(source, target, encoding=Mpeg4(SIZE), report=lines.append)
    assert (again.encoded, again.kept, again.failed) == (0, 3, [])
    assert times == {p: p.stat().st_mtime_ns for p in target.rglob("*.mp4")}


def test_a_file_of_another_recipe_is_done_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    encoded.encode(source / "a.mp4", encoded.numbered(14), options=encoded.x264(12))
    recipe: dict[str, int] = {}
    assert prepared(source, target).encoded == 1
    for change in ({"gop": 7}, {"quantiser": 5}):
        recipe |= change
        assert prepared(source, target, **recipe).encoded == 1
        assert prepared(source, target, **recipe).kept == 1
    assert prepared(source, target, (64, 48), **recipe).encoded == 1
    with CompressedReader(target / "a.mp4") as reader:
        assert reader.gops == [(0, 7), (7, 14)]
        assert reader.frames([0]).shape == (1, 48, 64, 3)
    assert quantisers(target / "a.mp4") == {10}


def test_a_file_of_another_source_is_done_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    path = encoded.encode(source / "a.mp4", encoded.numbered(14), options=encoded.x264(12))
    prepared(source, target)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    encoded.encode(path, encoded.numbered(15), options=encoded.x264(12))
    os.utime(path, ns=times)  # the size alone tells
    assert prepared(source, target).encoded == 1
    os.utime(path, ns=(0, 10**18 + 1))  # the time alone
    assert prepared(source, target).encoded == 1
    assert prepared(source, target).kept == 1


@pytest.mark.parametrize("damage", ["byte", "quarter", "end", "empty"])
def test_a_damaged_file_is_done_again(tmp_path: Path, damage: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    encoded.encode(source / "a.mp4", encoded.numbered(14), options=encoded.x264(12))
    prepared(source, target)
    whole = (target / "a.mp4").read_bytes()
    half, quarter = len(whole) // 2, len(whole) // 4
    (target / "a.mp4").write_bytes(
        {
            "byte": whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :],
            "quarter": whole[:half] + bytes(quarter) + whole[half + quarter :],
            "end": whole[:-100],
            "empty": b"",
        }[damage]
    )
    assert prepared(source, target).encoded == 1
    assert (target / "a.mp4").read_bytes() == whole
    assert prepared(source, target).kept == 1


def test_what_a_killed_run_left_is_removed_in_time(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    encoded.encode(source / "a.mp4", encoded.numbered(14), options=encoded.x264(12))
    prepared(source, target)
    for name, age in ((".vtbench-1.part", 2 * 86400), (".vtbench-2.part", 60), ("mine.part", 2 * 86400)):
        (target / name).write_bytes(b"")
        os.utime(target / name, (0, time.time() - age))
    (target / ".vtbench-3.part").symlink_to("gone")  # as one that another run has just renamed
    assert prepared(source, target).kept == 1
    left = [".vtbench-2.part", ".vtbench-3.part", "a.mp4", "mine.part", "prepared.json"]
    assert sorted(p.name for p in target.iterdir()) == left
    # Nor is it taken for a video.
    assert prepared(target, tmp_path / "next").encoded == 1


def test_two_runs_leave_each_other_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    encoded.encode(source / "a.mp4", encoded.numbered(14), options=encoded.x264(12))
    check, others = encode._check, []

    def check_late(*arguments: object) -> None:
        if not others:  # a second run begins and ends while the first has its file half done
            others.append(None)
            others.append(prepared(source, target))
        check(*arguments)

    monkeypatch.setattr(encode, "_check", check_late)
    assert prepared(source, target).failed == []
    assert others[1].failed == []
    assert sorted(p.name for p in target.iterdir()) == ["a.mp4", "prepared.json"]


def quantisers(path: Path) -> set[int]:
    """Of all macroblocks: FFmpeg's AVVideoEncParams, of which the blocks' records end with their quantiser."""
    found = set()
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.options = {"export_side_data": "venc_params"}
        for frame in container.decode(video=0):
            data = bytes(frame.side_data["VIDEO_ENC_PARAMS"])
            count, offset, size = int.from_bytes(data[:4], "little"), *np.frombuffer(data[8:24], np.uint64).tolist()
            found.update(
                np.frombuffer(data[offset : offset + count * size], np.int32).reshape(count, -1)[:, -1].tolist()
            )
    return found


def test_the_quantiser_is_fixed(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "source" / "a.mp4", encoded.numbered(13), options=encoded.x264(12))
    for quantiser in (1, 8):
        target = tmp_path / str(quantiser)
        prepare(tmp_path / "source", target, encoding=Mpeg4(SIZE, quantiser=quantiser))
        assert quantisers(target / "a.mp4") == {2 * quantiser}  # in MPEG-2's units
        if quantiser == 1:
            with VideoReader(path) as before, VideoReader(target / "a.mp4") as after:
                difference = before.frames(range(13)).astype(int) - after.frames(range(13))
            assert 10 * np.log10(255**2 / np.mean(difference**2)) > 38


BT709, FULL = 1, 2  # FFmpeg's AVCOL_SPC_BT709, AVCOL_RANGE_JPEG


@pytest.mark.parametrize(
    ("pix_fmt", "matrix", "range_"),
    [
        *(("yuv420p", None, None), ("yuv420p", 6, 1), ("yuv420p", BT709, 1), ("yuv420p10le", BT709, 1)),
        *(("yuvj420p", None, FULL), ("yuvj420p", BT709, FULL), ("yuv420p10le", 9, 1)),
    ],
)
def test_colours_stay_whatever_matrix_and_range_the_file_has(
    tmp_path: Path, pix_fmt: str, matrix: int | None, range_: int | None
) -> None:
    path = tmp_path / "source" / "a.mp4"
    path.parent.mkdir()
    colours = np.array([(254, 0, 0), (0, 200, 30), (40, 60, 250), (255, 255, 255), (0, 0, 0), (90, 90, 90)], np.uint8)
    picture = np.repeat(np.repeat(colours[None], 64, 0), 16, 1)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "2", **encoded.x264(12)})
        video.width, video.height, video.pix_fmt = *SIZE, pix_fmt
        context = video.codec_context
        context.colorspace, context.color_range = matrix or context.colorspace, range_ or context.color_range
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            to = {6: 5}.get(matrix, matrix)  # swscale's number of BT.601
            frame = frame.reformat(format=pix_fmt, dst_colorspace=to, dst_color_range=range_)
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    assert prepared(tmp_path / "source", tmp_path / "target").failed == []
    for file in (path, tmp_path / "target" / "a.mp4"):
        with VideoReader(file) as reader:
            found = reader.frames([1])[0].reshape(64, 6, 16, 3)[:, :, 5:11].mean((0, 2))
        assert np.abs(found - colours).max() < 6, file


def with_sound(
    path: Path, *, codec: str = "aac", rate: int = 16000, layout: str = "mono", video_s: float = 0, sound_s: float = 0
) -> Path:
    """A second of picture and a second of sound, which begin at these times."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = out.add_stream(codec, rate=rate, layout=layout)
        for n in range(25):
            frame = av.VideoFrame.from_ndarray(encoded.numbered_frame(n), format="rgb24")
            frame.pts = n + round(video_s * 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        wave = 0.1 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
        waves = np.repeat(wave[None], audio.codec_context.layout.nb_channels, 0).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(waves, format="fltp", layout=layout)
        sound.sample_rate, sound.pts, sound.time_base = rate, round(sound_s * rate), Fraction(1, rate)
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "video_s", "sound_s"), [(c, *s) for c in ("aac", "wavpack") for s in ((0.4, 0), (10, 10.2), (10.4, 10))]
)
def test_sound_is_kept_in_step(tmp_path: Path, codec: str, video_s: float, sound_s: float) -> None:
    """Copied or encoded anew; the file begins at 0, with what began first."""
    with_sound(tmp_path / "source" / "a.mkv", codec=codec, video_s=video_s, sound_s=sound_s)
    assert prepared(tmp_path / "source", tmp_path / "target").failed == []
    new = tmp_path / "target" / "a.mp4"
    assert streams(new) == ["mpeg4", "aac"]
    begin = min(video_s, sound_s)
    with av.open(str(new)) as container:
        assert next(container.decode(video=0)).time == pytest.approx(video_s - begin, abs=0.08)
    with av.open(str(new)) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].time == pytest.approx(
        sound_s - begin, abs=0.08
    )  # AAC begins with 1024 samples, 0.064 s, of its own
    sound = np.concatenate([frame.to_ndarray() for frame in frames], axis=-1)
    assert sound.shape[-1] == pytest.approx(16000, abs=3000)
    assert np.abs(sound).max() == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout", "becomes"),
    [
        *(("a.mkv", "wavpack", 192000, "mono", 96000), ("a.mkv", "wavpack", 4000, "stereo", 7350)),
        *(("a.avi", "pcm_s16le", 44100, "stereo", 44100), ("a.mkv", "pcm_s16le", 48000, "5.1", 48000)),
        # MP3 below 16 kHz is MPEG-2.5, which mp4 does not hold.
        *(("a.avi", "libmp3lame", 8000, "mono", 8000), ("a.mkv", "libmp3lame", 11025, "stereo", 11025)),
    ],
)
def test_sound_that_aac_does_not_take_as_it_is(
    tmp_path: Path, name: str, codec: str, rate: int, layout: str, becomes: int
) -> None:
    with_sound(tmp_path / "source" / name, codec=codec, rate=rate, layout=layout)
    assert prepared(tmp_path / "source", tmp_path / "target").failed == []
    with av.open(str(tmp_path / "target" / "a.mp4")) as container:
        frames = list(container.decode(audio=0))
    sound = np.concatenate([frame.to_ndarray() for frame in frames], axis=-1)
    assert (frames[0].sample_rate, frames[0].layout.name) == (becomes, layout)
    assert sound.shape[-1] / becomes == pytest.approx(1, abs=0.3)
    assert np.abs(sound[0]).max() == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.avi", "libx264", encoded.x264(12, "bframes=3:b-adapt=0")),
        ("a.avi", "mpeg4", {"bf": "2", "g": "12"}),
        ("a.avi", "mpeg4", {"g": "12"}),
        ("a.mkv", "libx264", encoded.x264(12, "bframes=3:b-adapt=0", "open-gop=1")),
        ("a.ts", "libx264", encoded.x264(12, "bframes=3:b-adapt=0")),
    ],
)
def test_each_picture_is_shown_when_it_was(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    """Also those of avi, whose packets are counted as they are coded: frame n at n / 25 s. Sound is placed by them."""
    encoded.encode(tmp_path / "source" / name, encoded.numbered(30), codec=codec, options=options)
    assert prepared(tmp_path / "source", tmp_path / "target").failed == []
    with av.open(str(tmp_path / "target" / "a.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([n / 25 for n in range(30)], abs=1e-3)


def test_a_track_of_sound_that_is_announced_and_empty_is_none(tmp_path: Path) -> None:
    path = encoded.with_empty_track(tmp_path / "source" / "a.ts")
    assert streams(path) == ["h264", "aac"]
    assert prepared(tmp_path / "source", tmp_path / "target").failed == []
    assert streams(tmp_path / "target" / "a.mp4") == ["mpeg4"]


def test_a_mirrored_video_comes_out_as_it_is_shown(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "source" / "a.mp4", encoded.numbered(3), options=encoded.x264(12))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 4] = (-1 << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    assert prepared(tmp_path / "source", tmp_path / "target").failed == []
    with VideoReader(path) as before, VideoReader(tmp_path / "target" / "a.mp4") as after:
        old, new = before.frames([0, 2]), after.frames([0, 2])
    assert np.abs(old.astype(int) - new).mean() < 8 < np.abs(old[:, :, ::-1].astype(int) - new).mean()


@pytest.mark.parametrize("height", [96, 94])  # 94: planes of colour whose lines do not fill lines of brightness
def test_a_rotated_video_comes_out_upright(tmp_path: Path, height: int) -> None:
    path = encoded.encode(tmp_path / "source" / "a.mp4", encoded.numbered(3), options=encoded.x264(12))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for place, value in zip((0, 4, 12, 16), (0, 1, -1, 0), strict=True):  # 90 degrees clockwise
        data[at + place : at + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    assert prepared(tmp_path / "source", tmp_path / "target", (encoded.HEIGHT, height)).failed == []
    with VideoReader(path) as before, VideoReader(tmp_path / "target" / "a.mp4") as after:
        old, new = before.frames([0, 2]), after.frames([0, 2])
    assert old.shape == (2, encoded.WIDTH, encoded.HEIGHT, 3)
    assert new.shape == (2, height, encoded.HEIGHT, 3)
    old = old[:, np.round((np.arange(height) + 0.5) * 96 / height - 0.5).astype(int)]
    assert np.abs(old.astype(int) - new).mean() < 8


def test_a_video_without_vectors_is_sound(tmp_path: Path) -> None:
    """Its second picture is coded for itself, though as a P-frame."""
    pictures = [encoded.numbered_frame(0), np.full((encoded.HEIGHT, encoded.WIDTH, 3), 255, np.uint8)]
    encoded.encode(tmp_path / "source" / "a.mp4", pictures, options=encoded.x264(12))
    assert prepared(tmp_path / "source", tmp_path / "target").failed == []
    with CompressedReader(tmp_path / "target" / "a.mp4") as reader:
        assert reader.gops == [(0, 2)]
        motion, intra = reader.motion([1])
        assert intra.all() and not motion.any()
        reader.triplets([0, 1])


def test_flashes_put_no_iframe_where_none_is_due(tmp_path: Path) -> None:
    grain = np.random.default_rng(0).integers(0, 100, (14, encoded.HEIGHT, encoded.WIDTH, 1)).repeat(3, 3)
    flashes = (picture.astype(np.uint8) + np.uint8(150 * (n % 2)) for n, picture in enumerate(grain))
    encoded.encode(tmp_path / "source" / "a.mp4", flashes, options=encoded.x264(12))
    # At quantiser 1, FFmpeg's encoder sees no scene changes anyway.
    assert prepared(tmp_path / "source", tmp_path / "target", quantiser=8).failed == []
    with CompressedReader(tmp_path / "target" / "a.mp4") as reader:
        assert reader.gops == [(0, 12), (12, 14)]


def test_packets_without_a_picture_are_no_damage(tmp_path: Path) -> None:
    """MPEG-4 has packets that say that nothing changed. No frame comes of them; the one before is shown on."""
    plain = encoded.encode(tmp_path / "plain.mp4", encoded.numbered(14), codec="mpeg4")
    path = tmp_path / "source" / "a.mp4"
    path.parent.mkdir()
    with av.open(str(plain)) as container, av.open(str(path), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for n, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            if n == 7:
                empty = av.Packet(bytes.fromhex("000001b653cf"))  # a P-frame, 7/25 s, vop_coded 0
                empty.pts, empty.dts, empty.time_base = packet.pts, packet.dts, packet.time_base
                packet = empty
            packet.stream = copy
            out.mux(packet)
    assert prepared(tmp_path / "source", tmp_path / "target").failed == []
    with CompressedReader(tmp_path / "target" / "a.mp4") as reader:
        assert [encoded.read_number(frame) for frame in reader.frames(range(13))] == [*range(7), *range(8, 14)]
        assert [round(frame.time * 25) for frame in reader.sequential()] == [*range(7), *range(8, 14)]


def test_several_processes_do_the_same(source: Path, tmp_path: Path) -> None:
    done = prepare(source, tmp_path / "target", encoding=Mpeg4(SIZE), workers=2, report=lambda line: None)
    assert (done.encoded, done.kept, len(done.failed)) == (3, 0, 1)
    assert [p.name for p in done.manifests] == ["train.csv", "validation.csv"]


def fails(tmp_path: Path) -> str:
    """Why the one video, which is sound, is refused."""
    source, target = tmp_path / "source", tmp_path / "target"
    path = encoded.encode(source / "a.mp4", encoded.numbered(14), options=encoded.x264(12))
    line = "".join(prepared(source, target).failed)
    assert line.startswith(f"{path}: ") and ".part" not in line
    assert [p.name for p in target.iterdir()] == ["prepared.json"]
    return line


def test_a_file_that_fails_its_check_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_whole = encode._encode

    def one_more(*arguments: object) -> tuple[list[int], int]:
        stamps, ticks = encode_whole(*arguments)
        return [*stamps, stamps[-1] + 1], ticks

    monkeypatch.setattr(encode, "_encode", one_more)
    line = fails(tmp_path)
    assert "has 14 frames of 15" in line and "leave the video out of the lists" in line


def test_a_source_of_which_frames_are_missing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VideoReader, "num_frames", 15)
    assert "14 of 15 frames decode" in fails(tmp_path)


def test_other_gops_than_asked_for_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Mpeg4.add_video
    monkeypatch.setattr(Mpeg4, "add_video", lambda _, *arguments: add(Mpeg4(SIZE, gop=7), *arguments))
    assert "I-frames elsewhere than every 12 frames" in fails(tmp_path)


def test_a_decoder_without_vectors_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_plain(self: CompressedReader) -> None:
        opened(self)
        self._stream.codec_context.flags2 = 0

    opened = CompressedReader._open
    monkeypatch.setattr(CompressedReader, "_open", open_plain)
    assert "no motion vectors" in fails(tmp_path)


def test_one_file_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    long, too_long = f"{'x' * 249}.avi", f"{'y' * 252}.ts"
    for name in ("a.mp4", "broken/b.mp4", "odd.mp4", "short.ts"):
        encoded.encode(source / name, encoded.numbered(14), options=encoded.x264(12), sound=True)
    encoded.encode(source / long, encoded.numbered(14), codec="mpeg4")
    (source / "short.ts").rename(source / too_long)
    plain = (source / "a.mp4").read_bytes()
    (source / "a.mp4").write_bytes(plain.replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    target.mkdir()
    (target / "broken").write_bytes(b"in the way")
    encode_whole = encode._encode

    def encode_but_one(file: Path, *arguments: object) -> tuple[list[int], int]:
        if file.name == "odd.mp4":
            raise RuntimeError("nobody\nexpected this")
        return encode_whole(file, *arguments)

    monkeypatch.setattr(encode, "_encode", encode_but_one)
    done = prepared(source, target)
    assert done.encoded == 1
    assert (target / long).with_suffix(".mp4").exists()
    told = {line.split(": ")[0]: line for line in done.failed}
    assert list(told) == [str(source / name) for name in ("a.mp4", "broken/b.mp4", "odd.mp4", too_long)]
    for name, words in (("a.mp4", "the codec of its audio is unknown"), ("odd.mp4", "nobody expected this")):
        assert words in told[str(source / name)]
    assert not any("\n" in line for line in done.failed)
    assert not list(target.rglob("*.part"))


def test_lists_are_read_before_videos_and_other_csv_not_at_all(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    encoded.encode(source / "a.mp4", encoded.numbered(14), options=encoded.x264(12))
    (source / "notes.csv").write_text("näme,age\nb,3\n", encoding="utf-16")
    (source / "latin.csv").write_text("näme,age\nb,3\n", encoding="latin-1")
    (source / "huge.csv").write_text("x" * 200_000)
    (source / "folder.csv").mkdir()
    (source / "train.csv").write_text("\n path, label\na.mp4,0\n")
    done = prepared(source, target)
    assert [p.name for p in done.manifests] == ["train.csv"]
    assert [p.name for p in done.copied] == ["huge.csv", "latin.csv", "notes.csv"]
    assert (target / "notes.csv").read_bytes() == (source / "notes.csv").read_bytes()
    (target / "a.mp4").unlink()
    for text in (b"path,label\na.mp4,caf\xe9\n", b"path,label\na.mp4," + b"x" * 200_000):
        (source / "train.csv").write_bytes(text)
        with pytest.raises(DataError, match=r"train.csv: cannot be read as a list .*UTF-8"):
            prepared(source, target)
        assert not (target / "a.mp4").exists()


def test_folders_and_numbers_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        prepare(tmp_path / "missing", tmp_path / "target")
    folder = tmp_path / "videos"
    folder.mkdir()
    with pytest.raises(DataError, match="has no videos"):
        prepare(folder, tmp_path / "target")
    for name in ("a.avi", "a.webm"):
        (folder / name).write_bytes(os.urandom(20))
    with pytest.raises(DataError, match="rename one"):
        prepare(folder, tmp_path / "target")
    for target in (folder, folder / "new", tmp_path):
        with pytest.raises(DataError, match="beside it"):
            prepare(folder, target)
    with pytest.raises(ValueError, match="even"):
        Mpeg4(size=(341, 256))
    for numbers in ({"quantiser": 0}, {"quantiser": 32}, {"gop": 1}, {"gop": 601}):
        with pytest.raises(ValueError, match=r"quantiser .* must be 1 to 31, gop .* 2 to 600"):
            Mpeg4(**numbers)
    (folder / "a.webm").unlink()
    for target in (folder.with_name("file"), folder.with_name("file") / "below"):
        folder.with_name("file").write_bytes(b"")
        with pytest.raises(DataError, match="give another folder"):
            prepare(folder, target)
    encoded.encode(folder / "one.mp4", encoded.numbered(1), options=encoded.x264(12))
    done = prepare(folder, tmp_path / "target", encoding=Mpeg4(), report=lambda line: None)
    assert [line.split(":")[0] for line in done.failed] == [str(folder / "a.avi"), str(folder / "one.mp4")]
    assert "single frame" in done.failed[1]
