"""Every file decoded once: what is written down, what is read again, what is put in quarantine."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import encoded
import lookalikes
import pytest

from vtbench.datasets.check import scan as scanning
from vtbench.datasets.check.coding import coding_of, sample_of_codings
from vtbench.datasets.check.scan import Scanned, read_scan, scan
from vtbench.datasets.manifests import Entry
from vtbench.errors import DataError, VideoError


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """Files that are whole in four codings, and files that are not."""
    root = tmp_path / "videos"
    encoded.encode(root / "a.mp4", encoded.numbered(30), options=encoded.x264(12), rate=30)
    encoded.encode(root / "b.avi", encoded.numbered(20), codec="mpeg4")
    encoded.encode(root / "c.webm", encoded.numbered(8), codec="libvpx-vp9", rate=12)
    lookalikes.jpeg_frames(root / "d", list(encoded.numbered(5)))
    (root / "text.mp4").write_text("this is no video")
    whole = encoded.encode(root / "cut.mp4", encoded.numbered(40), options=encoded.x264(12, "bframes=0")).read_bytes()
    (root / "cut.mp4").write_bytes(whole[:-3000])
    names = ["a.mp4", "b.avi", "c.webm", "d", "text.mp4", "cut.mp4"]
    return [Entry(name, root / name, 0, name) for name in (*names, "gone.mp4")]


FOUND = {
    "a.mp4": (30, "h264 96x64 30"),
    "b.avi": (20, "mpeg4 96x64 25"),
    "c.webm": (8, "vp9 96x64 12"),
    "d": (5, "jpeg 96x64"),
}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_found_of_each_file(entries: list[Entry], tmp_path: Path, workers: int) -> None:
    calls: list[tuple[int, int]] = []
    found = scan(entries, tmp_path / "r" / "scan.csv", workers=workers, progress=lambda *how: calls.append(how))
    assert [one.file for one in found] == [str(entry.file) for entry in entries[:-1]], "a missing file is not scanned"
    by_id = {Path(one.file).name: one for one in found}
    assert {name: (by_id[name].frames, by_id[name].coding) for name in FOUND} == FOUND
    assert not any(by_id[name].problem for name in FOUND)
    assert "invalid data" in by_id["text.mp4"].problem and by_id["cut.mp4"].problem
    assert calls[0] == (0, 6) and calls[-1] == (6, 6)
    assert read_scan(tmp_path / "r" / "scan.csv") == {one.file: one for one in found}


def test_a_scan_resumes_and_reads_only_what_changed(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scan.csv"
    read: list[str] = []
    scan_one = scanning.scan_one

    def stopping(entry: Entry) -> Scanned:
        if entry.video_id == "c.webm" and not read.count("stop"):
            read.append("stop")
            raise KeyboardInterrupt
        read.append(entry.video_id)
        return scan_one(entry)

    monkeypatch.setattr(scanning, "scan_one", stopping)
    with pytest.raises(KeyboardInterrupt):
        scan(entries, file)
    with file.open("a") as opened:
        opened.write("half,1")  # as a kill leaves it
    read.clear()
    read.append("stop")
    assert len(scan(entries, file)) == 6
    assert read[1:] == ["c.webm", "d", "text.mp4", "cut.mp4"]
    read[1:] = []
    os.utime(entries[0].file, ns=(1, 1))
    (entries[4].file).write_text("still no video")
    scan(entries, file)
    assert read[1:] == ["a.mp4", "text.mp4"]


def test_a_file_of_something_else_is_named(entries: list[Entry], tmp_path: Path) -> None:
    file = tmp_path / "scan.csv"
    file.write_text("path,label\n")
    with pytest.raises(DataError, match=r"scan\.csv:1: the header must be file,size,changed,frames,coding,problem"):
        scan(entries, file)
    file.unlink()
    file.mkdir()
    with pytest.raises(DataError, match=r"scan\.csv: cannot be read"):
        scan(entries, file)


def test_the_sample_of_codings_depends_on_the_ids_alone(entries: list[Entry]) -> None:
    assert sample_of_codings(entries[:4]) == sample_of_codings(entries[3::-1])
    assert set(sample_of_codings(entries[:4]).split(", ")) == {f"{coding}: 1" for _, coding in FOUND.values()}
    assert sample_of_codings([entries[4]]) == "unreadable: 1"
    many = [Entry(f"{number}.mp4", entries[0].file, 0, "") for number in range(100)]
    assert sample_of_codings(many) == "h264 96x64 30: 64"
    with pytest.raises(VideoError):
        coding_of(entries[4].file)


def test_the_scan_is_csv_with_a_line_for_each_file(entries: list[Entry], tmp_path: Path) -> None:
    scan(entries, tmp_path / "scan.csv")
    with (tmp_path / "scan.csv").open(newline="") as opened:
        rows = list(csv.reader(opened))
    assert rows[0] == list(scanning.COLUMNS) and len(rows) == 7
