from __future__ import annotations

import csv
import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vtbench.errors import ResultsError
from vtbench.results.costs import CostStore
from vtbench.results.lines.line import csv_line
from vtbench.results.record import COLUMNS, Record
from vtbench.results.store import LineFile, SpeedStore, Store

Make = Callable[..., Record]


def full_disk(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_records_come_back_in_the_order_they_were_appended(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path / "new" / "folder")
    written = [record(seed=seed) for seed in (2, 0, 1)]
    for one in written:
        store.append(one)
    assert store.read() == written
    assert store.path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_appending_never_changes_what_is_there(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    before = b""
    for seed in range(4):
        store.append(record(seed=seed))
        after = store.path.read_bytes()
        assert after.startswith(before) and after.count(b"\n") == seed + 2
        before = after


def test_no_file_is_no_results(tmp_path: Path) -> None:
    assert Store(tmp_path / "nowhere").read() == []


def test_the_newest_line_of_a_row_wins(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    for top1 in (10.0, 20.0):
        store.append(record(top1=top1))
        store.append(record(top1=99.0, seed=1))
        store.append(record(top1=98.0, measurement="events"))
        store.append(record(top1=97.0, scale="smoke"))
    newest = store.newest("msca/table2:msca-kv", "main", "mini", 0)
    assert newest is not None and newest.top1 == 20.0
    assert store.newest("msca/table2:vit", "main", "mini", 0) is None


def test_find_gives_every_row_that_shares_the_evaluation(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.append(record(id="msca/table1:h2"))
    store.append(record(evaluation_key="other"))
    store.append(record(id="msca/table3:b12"))
    assert [r.id for r in store.find("ba9876543210", "mini")] == ["msca/table1:h2", "msca/table3:b12"]


def test_another_process_is_seen_at_the_next_read(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.append(record())
    assert len(store.read()) == 1
    Store(tmp_path).append(record(seed=1))
    assert len(store.read()) == 2


def test_frame_has_the_columns_and_a_line_per_record(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.append(record())
    assert list(store.frame().columns) == list(COLUMNS)
    assert store.frame().top1.item() == 100 / 3


def test_writers_that_append_at_once_leave_only_whole_lines(tmp_path: Path, record: Make) -> None:
    start = threading.Barrier(4)

    def append_many(first: int) -> None:
        start.wait()
        for seed in range(first, first + 20):
            Store(tmp_path).append(record(seed=seed))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append_many, range(0, 80, 20)))
    assert sorted(r.seed for r in Store(tmp_path).read()) == list(range(80))


def test_append_and_read_wait_for_whoever_holds_the_lock(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.append(record())
    with ThreadPoolExecutor(2) as pool, store.path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        appended, read = pool.submit(store.append, record(seed=1)), pool.submit(Store(tmp_path).read)
        for waiting in (appended, read):
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.1)
        assert store.path.read_bytes().count(b"\n") == 2
        fcntl.flock(held, fcntl.LOCK_UN)
    assert [r.seed for r in store.read()] == [0, 1]


# -- nothing is written half --------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [0, 1, 40])
@pytest.mark.parametrize("first", [True, False])
def test_a_short_write_leaves_the_file_as_it_was(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch, written: int, first: bool
) -> None:
    store = Store(tmp_path)
    if not first:
        store.append(record())
    before = store.path.read_bytes() if not first else b""
    real = os.write
    monkeypatch.setattr("os.write", lambda descriptor, data: real(descriptor, data[:written]))
    with pytest.raises(ResultsError, match=r"results\.csv: the line of msca/table2:vit .*No space left.*free space"):
        store.append(record(id="msca/table2:vit"))
    monkeypatch.undo()
    assert store.path.read_bytes() == before
    store.append(record(seed=5))
    assert [r.seed for r in store.read()] == ([5] if first else [0, 5])


@pytest.mark.parametrize("call", ["os.write", "os.fsync"])
def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = Store(tmp_path)
    store.append(record())
    before = store.path.read_bytes()
    monkeypatch.setattr(call, full_disk)
    with pytest.raises(ResultsError, match="No space left on device"):
        store.append(record(seed=1))
    assert store.path.read_bytes() == before


def test_ctrl_c_during_the_write_leaves_the_file_as_it_was(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.append(record())
    before = store.path.read_bytes()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.append(record(seed=1))
    assert store.path.read_bytes() == before


# -- a file that is not in order ------------------------------------------------------------------------------------


def cut(path: Path, remove: int) -> bytes:
    path.write_bytes(path.read_bytes()[:-remove])
    return path.read_bytes()


def test_a_missing_line_end_is_named_and_its_remedy_works(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.append(record())
    cut(store.path, 1)
    for act in (store.read, lambda: store.append(record(seed=9))):
        with pytest.raises(ResultsError, match=r":2: the last line is whole but has no line end; add it: ") as caught:
            act()
    subprocess.run(str(caught.value).split("add it: ")[1], shell=True, check=True)
    store.append(record(seed=1))
    assert [r.seed for r in store.read()] == [0, 1]


def test_a_header_without_line_end_is_not_written_onto(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.path.write_text(",".join(COLUMNS))
    with pytest.raises(ResultsError, match=r":1: .* no line end"):
        store.read()
    store.append(record())
    assert store.read() == [record()]


@pytest.mark.parametrize("line", [b"", b"a,b,c", b"\xff\xfe,", b'"open quote'])
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, record: Make, line: bytes) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        store.append(record(seed=seed))
    lines = store.path.read_bytes().split(b"\n")
    lines[2] = line
    store.path.write_bytes(b"\n".join(lines))
    with pytest.raises(ResultsError, match=r"results\.csv:3: the line is broken: ") as caught:
        store.read()
    assert f"; `vtbench results verify --results {tmp_path}` says how to delete such lines: " in str(caught.value)


def test_a_wrong_cell_is_named_by_file_line_and_column(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        store.append(record(seed=seed))
    store.path.write_text(store.path.read_text().replace(",2026-01-31T23:59:59Z,", ",yesterday,", 1))
    with pytest.raises(ResultsError) as caught:
        store.read()
    assert str(caught.value).startswith(
        f"{store.path}:2: the line is broken: finished_at: is 'yesterday', must be UTC as 2026-01-31T23:59:59Z; "
    )


def test_a_header_of_other_columns_names_them_and_its_remedy_works(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    older = [name for name in COLUMNS if name not in ("threads", "selection")] + ["cores"]
    store.path.write_text(",".join(older) + "\n")
    for act in (store.read, store.check, lambda: store.append(record())):
        with pytest.raises(ResultsError, match=r"csv:1: .*missing: selection, threads; unknown: cores.*mv ") as caught:
            act()
    command = str(caught.value)
    subprocess.run(command[command.index("(mv") + 1 : command.index(") and run again")], shell=True, check=True)
    store.append(record())
    assert store.read() == [record()]


def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.path.write_text(",".join([*COLUMNS, "seed"]) + "\n")
    for act in (store.read, store.check, lambda: store.append(record())):
        with pytest.raises(ResultsError, match=r"results\.csv:1: .*\(twice: seed\)"):
            act()


# -- a folder that cannot be written --------------------------------------------------------------------------------


def test_check_makes_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    Store(tmp_path / "a" / "b").check()
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_the_folder_is_one_clear_line(tmp_path: Path, record: Make, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / below)
    for act in (store.check, lambda: store.append(record())):
        with pytest.raises(ResultsError, match=r"file.*: cannot be written: .*--results DIR") as caught:
            act()
        assert "\n" not in str(caught.value)


def test_a_folder_in_place_of_results_csv_is_one_clear_line(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.path.mkdir()
    for act in (store.check, lambda: store.append(record())):
        with pytest.raises(
            ResultsError, match=r"results\.csv: cannot be written: it is a folder, where a file is wanted; move it away"
        ):
            act()
    with pytest.raises(ResultsError, match=r"results\.csv: cannot be read: it is a folder, where a file is wanted"):
        store.read()


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize(("make", "what"), [(os.mkfifo, "is a named pipe"), (a_socket, "is a device or a socket")])
@pytest.mark.parametrize("kind", [Store, SpeedStore, CostStore])
def test_what_may_never_end_is_not_opened(
    tmp_path: Path, kind: type[LineFile[Any]], make: Callable[[Path], None], what: str
) -> None:
    store = kind(tmp_path)
    make(store.path)
    for verb, acts in {
        "read": (store.read, store.numbered, store.set_torn_aside),
        "written": (store.check, lambda: store.append(None), lambda: store.append_missing([])),
    }.items():
        for act in acts:
            with pytest.raises(ResultsError) as caught:
                act()
            assert str(caught.value) == (
                f"{store.path}: cannot be {verb}: it {what}, where a file is wanted; move it away or choose another "
                "folder with --results DIR"
            )


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_the_results_folder_is_one_clear_line(tmp_path: Path, record: Make, below: str) -> None:
    (tmp_path / "results").write_text("")
    store = Store(tmp_path / "results" / below)
    for act in (store.check, lambda: store.append(record())):
        with pytest.raises(
            ResultsError, match=r"is a file; move that away or choose another folder with --results DIR"
        ):
            act()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_read_only_folder_is_found_by_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = os.open

    def refuse(path: str, flags: int, *rest: int, **named: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number), path)
        return real(path, flags, *rest, **named)

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ResultsError, match=f"cannot be written: {os.strerror(number)}"):
        Store(tmp_path).check()


def test_a_read_only_file_is_found_by_check(tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.append(record())
    real = os.open

    def refuse(path: str | Path, flags: int, *rest: int, **named: int) -> int:
        if Path(path) == store.path and flags & (os.O_WRONLY | os.O_RDWR):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, flags, *rest, **named)

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ResultsError, match=r"results\.csv: cannot be written: Permission denied"):
        store.check()


def test_a_full_disk_is_found_by_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.write", full_disk)
    with pytest.raises(ResultsError, match="No space left on device"):
        Store(tmp_path).check()


# -- files from before a column existed ----------------------------------------------------------------------------

OLDER = Path(__file__).parent / "older"
"""Header and first lines of results.csv and speed.csv as they were at the commit in a file's name."""
EMPTIED = tuple(name for name in COLUMNS if name not in Record.needed_columns())


def older(store: Store, lines: list[Record], lacking: tuple[str, ...] = ("metrics", "root")) -> str:
    """A results.csv as a version without these columns wrote it."""
    kept = [COLUMNS.index(name) for name in COLUMNS if name not in lacking]
    rows = [list(COLUMNS), *(next(csv.reader([line.to_line()])) for line in lines)]
    text = "".join(csv_line([row[column] for column in kept]) for row in rows)
    store.folder.mkdir(parents=True, exist_ok=True)
    store.path.write_text(text)
    return text


NEW = (
    *("root", "distinct_views", "train_top1", "variant", "top1_decoded", "top5_decoded", "train_missing"),
    *("train_unreadable", "train_fingerprint", "data_files", "data_encoding", "engine", "begun", "checksum"),
)
"""Columns that came after the last of the older files."""


@pytest.mark.parametrize(
    ("commit", "lacking"),
    [
        ("7163821", {"metrics", "videos_silent", "train_videos", *NEW}),
        ("8047570", {"metrics", "videos_silent", *NEW}),
        ("486e64a", {"metrics", *NEW}),
    ],
)
def test_a_file_of_an_older_commit_is_read_and_completed(
    tmp_path: Path, record: Make, commit: str, lacking: set[str]
) -> None:
    store = Store(tmp_path)
    text = (OLDER / f"results-{commit}.csv").read_text()
    store.path.write_text(text)
    store.check()
    before = store.read()
    assert store.path.read_text() == text, "reading changes nothing"
    assert [(r.id, r.top5, r.finished_at[:10]) for r in before] == [
        (f"msca/table{number}:vit", 100.0, "2026-11-21") for number in (1, 2)
    ]
    assert {name for name in COLUMNS if name not in text.partition("\n")[0].split(",")} == lacking
    assert all(getattr(r, name) is None for r in before for name in lacking)
    newer = {"metrics": "macro_f1=50.0", "finished_at": "2026-12-31T23:59:59Z"}
    store.append(record(seed=9, root="lab@sha256:0123456789ab", **newer))
    assert store.read()[:-1] == before and store.read()[-1].metrics == "macro_f1=50.0"
    with store.path.open() as new, (OLDER / f"results-{commit}.csv").open() as old:
        for line, was in zip(csv.DictReader(new), csv.DictReader(old), strict=False):
            assert line == dict.fromkeys(COLUMNS, "") | was, "every cell is as it was, and in today's order"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv"]


def test_a_speed_file_of_an_older_commit_is_read_and_completed(tmp_path: Path) -> None:
    store = SpeedStore(tmp_path)
    store.path.write_text((OLDER / "speed-72fc1d8.csv").read_text())
    before = store.read()
    assert [(r.metric, r.root) for r in before] == [("latency_ms", None)] * 2
    store.append(before[0])
    assert store.read() == [*before, before[0]]
    assert store.path.read_text().splitlines()[0] == ",".join(store.record.columns())


@pytest.mark.parametrize("lacking", [("metrics", "root"), ("root",), ("top1",), EMPTIED], ids=",".join)
def test_a_file_with_fewer_columns_is_read_and_completed(
    tmp_path: Path, record: Make, lacking: tuple[str, ...]
) -> None:
    store = Store(tmp_path)
    before = [record(seed=seed, **dict.fromkeys(lacking)) for seed in range(3)]
    text = older(store, before, lacking)
    store.check()
    assert store.read() == before and store.path.read_text() == text, "reading changes nothing"
    store.append(record(seed=9))
    assert store.read() == [*before, record(seed=9)]
    assert store.path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_columns_are_found_by_name_in_any_order(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    cells = next(csv.reader([record().to_line()]))
    store.path.write_text(csv_line(COLUMNS[::-1]) + csv_line(cells[::-1]))
    assert store.read() == [record()]
    store.append(record(seed=1))
    assert store.read() == [record(), record(seed=1)]
    assert store.path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_completing_keeps_a_link_and_its_permissions(tmp_path: Path, record: Make) -> None:
    shared = Store(tmp_path / "shared")
    older(shared, [record()])
    shared.path.chmod(0o664)
    linked = Store(tmp_path)
    linked.path.symlink_to(shared.path)
    linked.append(record(seed=1))
    assert linked.path.is_symlink() and shared.path.stat().st_mode & 0o777 == 0o664
    assert shared.read() == [record(), record(seed=1)]


def test_writers_that_find_an_old_file_at_once_lose_no_line(tmp_path: Path, record: Make) -> None:
    older(Store(tmp_path), [record(seed=0)])
    start = threading.Barrier(4)

    def append_many(first: int) -> None:
        start.wait()
        for seed in range(first, first + 10):
            Store(tmp_path).append(record(seed=seed))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append_many, range(1, 41, 10)))
    assert sorted(r.seed for r in Store(tmp_path).read()) == list(range(41))


WRITER = """
import sys
from vtbench.results.record import Record
from vtbench.results.store import Store
columns, *lines = sys.stdin.read().splitlines()
store = Store(sys.argv[1])
print("ready", flush=True)
for line in lines:
    store.append(Record.from_cells(line.split(","), columns.split(",")))
"""


def test_processes_that_find_an_old_file_at_once_lose_no_line(tmp_path: Path, record: Make) -> None:
    older(Store(tmp_path), [record(seed=0)])
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with (tmp_path / "results.csv").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # all of them wait for the old file
        writers = []
        for first in range(1, 31, 10):
            writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert writer.stdin is not None and writer.stdout is not None
            writer.stdin.write(csv_line(COLUMNS))
            writer.stdin.writelines(record(seed=seed).to_line() for seed in range(first, first + 10))
            writer.stdin.close()
            assert writer.stdout.readline() == "ready\n"
            writers.append(writer)
        fcntl.flock(held, fcntl.LOCK_UN)
    for writer in writers:
        assert writer.wait(timeout=60) == 0
        assert writer.stdout is not None
        writer.stdout.close()
    assert sorted(r.seed for r in Store(tmp_path).read()) == list(range(31))


def test_an_old_file_with_a_broken_line_stays_as_it_is(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    older(store, [record()])
    store.path.write_bytes(before := store.path.read_bytes() + b"a,b,c\n")
    with pytest.raises(ResultsError, match=r"results\.csv:3: the line is broken"):
        store.append(record(seed=1))
    assert store.path.read_bytes() == before


def test_an_old_file_that_cannot_be_completed_stays_as_it_is(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    text = older(store, [record()])

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResultsError, match=r"results\.csv: cannot be written: No space left"):
        store.append(record(seed=1))
    monkeypatch.undo()
    assert store.path.read_text() == text and [path.name for path in tmp_path.iterdir()] == ["results.csv"]


@pytest.mark.parametrize("lacking", [("seed",), ("top1", "threads"), ("finished_at",)])
def test_a_file_without_a_column_that_is_never_empty_is_refused(
    tmp_path: Path, record: Make, lacking: tuple[str, ...]
) -> None:
    store = Store(tmp_path)
    older(store, [record()], lacking)
    with pytest.raises(ResultsError, match=rf"results\.csv:1: the columns are not .*\(missing: {lacking[-1]}\); keep"):
        store.read()
