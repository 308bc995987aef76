from __future__ import annotations

import os
from pathlib import Path

import av
import encoded
import numpy as np
import pytest

from vtbench.datasets import prepare
from vtbench.datasets.prepare import prepare_mpeg4
from vtbench.errors import DataError
from vtbench.video.compressed import CompressedReader
from vtbench.video.decode import VideoReader

SIZE = (encoded.WIDTH, encoded.HEIGHT)


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
    done = prepare_mpeg4(source, target, size=SIZE, tell=lines.append)
    assert (done.encoded, done.kept) == (3, 0)
    assert lines == done.failed
    assert len(lines) == 1
    assert str(source / "bad.mp4") in lines[0]
    assert "\n" not in lines[0]
    assert sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()) == [
        *("c.mp4", "train.csv", "train/a.mp4", "train/b.mp4", "validation.csv")
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
    again = prepare_mpeg4(source, target, size=SIZE, tell=lines.append)
    assert (again.encoded, again.kept, again.failed) == (0, 3, [])
    assert times == {p: p.stat().st_mtime_ns for p in target.rglob("*.mp4")}


def test_an_unfinished_or_different_file_is_done_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("a.mp4", "b.mp4"):
        encoded.encode(source / name, encoded.numbered(14), options=encoded.x264(12))
    prepare_mpeg4(source, target, size=SIZE)
    (target / "b.mp4").rename(target / "b.mp4.part")  # as a killed run leaves it
    done = prepare_mpeg4(source, target, size=SIZE)
    assert (done.encoded, done.kept) == (1, 1)
    assert not list(target.glob("*.part"))
    done = prepare_mpeg4(source, target, size=SIZE, gop=7)
    assert (done.encoded, done.kept) == (2, 0)
    with CompressedReader(target / "a.mp4") as reader:
        assert reader.gops == [(0, 7), (7, 14)]


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
        prepare_mpeg4(tmp_path / "source", target, size=SIZE, quantiser=quantiser)
        assert quantisers(target / "a.mp4") == {2 * quantiser}  # in MPEG-2's units
        if quantiser == 1:
            with VideoReader(path) as before, VideoReader(target / "a.mp4") as after:
                difference = before.frames(range(13)).astype(int) - after.frames(range(13))
            assert 10 * np.log10(255**2 / np.mean(difference**2)) > 38


def test_sound_is_kept_in_step(tmp_path: Path) -> None:
    """Sound that mp4 cannot hold is encoded anew; sound and picture that begin late begin as late afterwards."""
    path = tmp_path / "source" / "a.mkv"
    path.parent.mkdir()
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = out.add_stream("wavpack", rate=16000, layout="mono")
        for n in range(25):
            frame = av.VideoFrame.from_ndarray(encoded.numbered_frame(n), format="rgb24")
            frame.pts = n + 10
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        encoded.write_tone(out, audio, seconds=1)
    done = prepare_mpeg4(tmp_path / "source", tmp_path / "target", size=SIZE)
    assert done.failed == []
    new = tmp_path / "target" / "a.mp4"
    assert streams(new) == ["mpeg4", "aac"]
    with av.open(str(new)) as container:
        assert next(container.decode(video=0)).time == pytest.approx(0.4, abs=0.05)
    with av.open(str(new)) as container:
        sound = [frame.to_ndarray() for frame in container.decode(audio=0)]
        assert sum(part.shape[-1] for part in sound) == pytest.approx(16000, abs=3000)
        assert np.abs(np.concatenate(sound, axis=-1)).max() == pytest.approx(0.1, abs=0.05)


def test_a_rotated_video_comes_out_upright(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "source" / "a.mp4", encoded.numbered(3), options=encoded.x264(12))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for place, value in zip((0, 4, 12, 16), (0, 1, -1, 0), strict=True):  # 90 degrees clockwise
        data[at + place : at + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    prepare_mpeg4(tmp_path / "source", tmp_path / "target", size=SIZE[::-1])
    with VideoReader(path) as before, VideoReader(tmp_path / "target" / "a.mp4") as after:
        old, new = before.frames([0, 2]), after.frames([0, 2])
    assert old.shape == new.shape == (2, encoded.WIDTH, encoded.HEIGHT, 3)
    assert np.abs(old.astype(int) - new).mean() < 8


def test_several_processes_do_the_same(source: Path, tmp_path: Path) -> None:
    done = prepare_mpeg4(source, tmp_path / "target", size=SIZE, workers=2, tell=lambda line: None)
    assert (done.encoded, done.kept, len(done.failed)) == (3, 0, 1)
    assert [p.name for p in done.manifests] == ["train.csv", "validation.csv"]


def test_a_file_that_fails_its_check_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded.encode(tmp_path / "source" / "a.mp4", encoded.numbered(14), options=encoded.x264(12))
    encode = prepare._encode
    monkeypatch.setattr(prepare, "_encode", lambda *arguments: encode(*arguments) + 1)
    done = prepare_mpeg4(tmp_path / "source", tmp_path / "target", size=SIZE, tell=lambda line: None)
    assert "14 frames were written of 15" in done.failed[0]
    assert not list((tmp_path / "target").rglob("*.*"))


def test_folders_and_numbers_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        prepare_mpeg4(tmp_path / "missing", tmp_path / "target")
    folder = tmp_path / "videos"
    folder.mkdir()
    with pytest.raises(DataError, match="has no videos"):
        prepare_mpeg4(folder, tmp_path / "target")
    for name in ("a.avi", "a.webm"):
        (folder / name).write_bytes(os.urandom(20))
    with pytest.raises(DataError, match="rename one"):
        prepare_mpeg4(folder, tmp_path / "target")
    for target in (folder, folder / "new", tmp_path):
        with pytest.raises(DataError, match="beside it"):
            prepare_mpeg4(folder, target)
    with pytest.raises(ValueError, match="even"):
        prepare_mpeg4(folder, tmp_path / "target", size=(341, 256))
    with pytest.raises(ValueError, match="quantiser"):
        prepare_mpeg4(folder, tmp_path / "target", quantiser=0)
    (folder / "a.webm").unlink()
    encoded.encode(folder / "one.mp4", encoded.numbered(1), options=encoded.x264(12))
    done = prepare_mpeg4(folder, tmp_path / "target", tell=lambda line: None)
    assert [line.split(":")[0] for line in done.failed] == [str(folder / "a.avi"), str(folder / "one.mp4")]
    assert "single frame" in done.failed[1]
