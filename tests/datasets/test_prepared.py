from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import encoded
import pytest

import vtbench
from vtbench.datasets.prepare import H264, Mpeg4, folder, prepare
from vtbench.datasets.prepared import fingerprint, read_prepared
from vtbench.errors import DataError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    encoded.encode(tmp_path / "source" / "b" / "a.mp4", encoded.numbered(5), options=encoded.x264(12))
    (tmp_path / "source" / "bad.avi").write_text("no video")
    return tmp_path / "source"


def run(source: Path, encoding: H264 | Mpeg4 | None = None) -> Path:
    prepare(source, source.with_name("target"), encoding=encoding, report=lambda line: None)
    return source.with_name("target")


def test_a_folder_says_how_it_was_made(source: Path) -> None:
    target = run(source, H264(short_side=32))
    size = (source / "b" / "a.mp4").stat().st_size
    print_of_source = fingerprint([("bad.avi", 8), ("b/a.mp4", size)])
    assert json.loads((target / "prepared.json").read_text()) == {
        "encoding": "h264",
        "crf": 18,
        "gop": 12,
        "short_side": 32,
        "quantiser": None,
        "size": None,
        "source_fingerprint": print_of_source,
        "videos": 1,
        "failed": ["bad.avi"],
        "vtbench": vtbench.__version__,
    }
    found = read_prepared(target)
    assert found is not None
    assert found.text == f"h264 crf=18 gop=12 short_side=32 of {print_of_source}"
    assert (found.videos, found.failed) == (1, ("bad.avi",))
    found = read_prepared(run(source))
    assert found is not None and found.text == f"h264 crf=18 gop=12 of {print_of_source}"
    found = read_prepared(run(source, Mpeg4((48, 32))))
    assert found is not None and found.text == f"mpeg4 48x32 quantiser=1 gop=12 of {print_of_source}"
    assert found.size == (48, 32)
    assert read_prepared(source) is None


def test_the_fingerprint_is_of_paths_and_sizes() -> None:
    """sha256 of the lines `path<tab>size`, sorted."""
    both = [("a/b.mp4", 10), ("a.mp4", 2)]
    assert fingerprint(both) == fingerprint(reversed(both)) == "75d1fe5ffddc"
    assert len({fingerprint(both), fingerprint(both[:1]), fingerprint([("a/b.mp4", 11), ("a.mp4", 2)])}) == 3


def test_more_videos_change_it(source: Path) -> None:
    first = read_prepared(run(source))
    encoded.encode(source / "c.mp4", encoded.numbered(5), options=encoded.x264(12))
    (source / "bad.avi").unlink()
    second = read_prepared(run(source))
    assert first is not None and second is not None
    assert (second.videos, second.failed) == (2, ())
    assert first.source_fingerprint != second.source_fingerprint


@pytest.mark.parametrize("change", ["recipe", "video", "nothing"])
def test_a_run_that_is_interrupted_leaves_no_untrue_one(
    source: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    target = run(source)
    before = read_prepared(target)

    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "reencode", interrupt)
    if change == "video":
        (source / "b" / "a.mp4").rename(source / "b" / "c.mp4")
    with pytest.raises(KeyboardInterrupt):
        run(source, H264(crf=20) if change == "recipe" else None)
    assert read_prepared(target) == (before if change == "nothing" else None)


def test_links_are_followed_and_hidden_files_left_out(tmp_path: Path) -> None:
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    encoded.encode(elsewhere / "a.mp4", encoded.numbered(5), options=encoded.x264(5))
    (elsewhere / "more.json").write_text("{}")
    source.mkdir()
    (source / "linked").symlink_to(elsewhere)
    (source / "circle").symlink_to(source)
    (source / "._a.mp4").write_bytes(b"no video")
    done = prepare(source, tmp_path / "target", report=lambda line: None)
    assert (done.encoded, done.failed) == (1, [])
    assert (tmp_path / "target" / "linked" / "a.mp4").is_file() and (
        tmp_path / "target" / "linked" / "more.json"
    ).is_file()


def test_a_source_that_broke_leaves_nothing_of_what_it_was(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    encoded.encode(source / "a.avi", encoded.numbered(5), codec="mpeg4")
    encoded.encode(source / "b.avi", encoded.numbered(5), codec="mpeg4")
    (source / "train.csv").write_bytes(b"\xef\xbb\xbfpath,label\r\na.avi,0\r\nb.avi,1\r\n")
    prepare(source, target, report=lambda line: None)
    assert (target / "train.csv").read_text() == "path,label\na.mp4,0\nb.mp4,1\n"
    (source / "a.avi").write_bytes(b"no video")
    done = prepare(source, target, report=lambda line: None)
    assert len(done.failed) == 1 and not (target / "a.mp4").exists() and (target / "b.mp4").exists()
    assert (target / "train.csv").read_text() == "path,label\na.avi,0\nb.mp4,1\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("\xff", "cannot be read as JSON"),
        ("[]", "must be a JSON object"),
        ({"crf": "18"}, 'crf cannot be "18"'),
        ({"gop": True}, "gop cannot be true"),
        ({"videos": -1}, "videos cannot be -1"),
        ({"failed": "none"}, 'failed cannot be "none"'),
        ({"failed": [1]}, "failed cannot be"),
        ({"size": [340]}, "size cannot be"),
        ({"encoding": ""}, 'encoding cannot be ""'),
        ({"source_fingerprint": None}, "source_fingerprint cannot be null"),
        ("vtbench", "vtbench is missing"),
    ],
)
def test_a_broken_one_is_one_line(source: Path, content: object, words: str) -> None:
    target = run(source)
    path = target / "prepared.json"
    whole = json.loads(path.read_text())
    if content == "vtbench":
        del whole["vtbench"]
    if isinstance(content, dict) or content == "vtbench":
        content = json.dumps({**whole, **content} if isinstance(content, dict) else whole)
    path.write_bytes(str(content).encode("latin-1"))
    with pytest.raises(DataError) as caught:
        read_prepared(target)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and words in line and "\n" not in line
    assert "data prepare` again" in line
    assert read_prepared(run(source)) is not None  # which is the remedy


def test_keys_of_later_versions_are_passed_over(source: Path) -> None:
    path = run(source) / "prepared.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": 1}))
    assert read_prepared(path.parent) is not None


def test_reading_it_imports_neither_torch_nor_av() -> None:
    script = "import sys; import vtbench.datasets.prepared; assert not {'torch', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(vtbench.__file__).parent.parent)
