from __future__ import annotations

import json
from pathlib import Path

import encoded
import pytest

from vtbench.cli import main


def lines(text: str) -> dict[str, str]:
    """Heading -> what stands behind it, of one file."""
    return {line[2:14].strip(): line[14:] for line in text.splitlines()[1:]}


def test_one_file_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(30), codec="mpeg4", options={"g": "12"}, sound=True)
    assert main(["data", "info", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == str(path)
    assert lines(out) == {
        "container": f"mov,mp4,m4a,3gp,3g2,mj2; {path.stat().st_size} bytes; from 0.000 s, 1.200 s long; "
        "video mpeg4, audio aac",
        "video": "mpeg4 (Simple Profile); 96 x 64; yuv420p, no matrix stated, no range stated; 25 frames/s on average; "
        "from 0.000 s, 1.200 s long",
        "frames": "30, all decoded",
        "reading": "by index",
        "groups": "3 of 12 frames (3 I, 27 P); closed; decoding may begin at 3 of them",
        "compressed": "can be read",
        "audio": lines(out)["audio"],
        "prepared": "not by vtbench data prepare",
    }
    assert lines(out)["audio"].startswith("aac, 16000 Hz, 1 channels; ")


def test_files_that_cannot_be_read_are_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = encoded.encode(tmp_path / "a.ts", encoded.numbered(14), codec="mpeg4", options={"bf": "2"})
    bad = tmp_path / "b\n.mp4"
    bad.write_text("no video")
    missing = tmp_path / "c.mp4"
    files = [str(bad), str(good), str(missing)]
    assert main(["data", "info", *files]) == 2
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == str(good)
    assert lines(captured.out)["reading"] == "from the start: mpegts has no index that is trusted"
    assert lines(captured.out)["compressed"].startswith("no: has B-frames; re-encode it")
    found = captured.err.splitlines()
    assert len(found) == 2
    assert found[0].startswith("vtbench: ") and "invalid data" in found[0]
    assert found[1].startswith(f"vtbench: {missing}: no such file")

    assert main(["data", "info", "--format", "json", *files]) == 2
    entries = json.loads(capsys.readouterr().out)
    assert [entry["file"] for entry in entries] == files
    assert (
        entries[0]["error"].startswith("invalid data")
        and entries[2]["error"] == "no such file or directory; check the path"
    )
    assert list(entries[1]) == [
        *("file", "container", "video", "num_frames", "reading", "groups", "compressed", "audio", "prepared")
    ]
    assert entries[1]["num_frames"] == 14


def test_a_prepared_file_names_its_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoded.encode(tmp_path / "source" / "a.avi", encoded.numbered(14), codec="mpeg4")
    target = tmp_path / "target"
    assert main(["data", "prepare", str(tmp_path / "source"), str(target), "--short-side", "32", "--crf", "20"]) == 0
    assert capsys.readouterr().out == "1 videos encoded, 0 already there, 0 failed\n"
    path = target / "a.mp4"
    assert main(["data", "info", str(path)]) == 0
    assert lines(capsys.readouterr().out)["prepared"] == "vtbench h264 crf=20 gop=12 short_side=32"
    path.write_bytes(path.read_bytes().replace(b"isom", b"mp42", 1))
    assert main(["data", "info", str(path)]) == 0
    assert lines(capsys.readouterr().out)["prepared"] == "vtbench h264 crf=20 gop=12 short_side=32; changed since"


def test_options_may_stand_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(encoded.encode(tmp_path / "a.mp4", encoded.numbered(3), codec="mpeg4"))
    assert main(["data", "info", path, "--format", "json", path]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert main(["data", "info"]) == 2
    assert "required: FILE" in capsys.readouterr().err
    assert main(["data", "info", path, "--format", "csv"]) == 2
    assert "no format 'csv'" in capsys.readouterr().err


def test_a_file_may_be_called_as_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many of Kinetics are, which are called after YouTube ids."""
    encoded.encode(tmp_path / "-3B32lodo2M.mp4", encoded.numbered(5), options=encoded.x264(5))
    monkeypatch.chdir(tmp_path)
    assert main(["data", "info", "-3B32lodo2M.mp4"]) == 0
    assert "5, all decoded" in capsys.readouterr().out
