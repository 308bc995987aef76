"""Several processes and machines on one results.csv."""

from __future__ import annotations

import csv
import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.cli import main
from vtbench.errors import ResultsError
from vtbench.results.lines.line import csv_line
from vtbench.results.record import COLUMNS, Record
from vtbench.results.store import Store

Make = Callable[..., Record]

WRITER = """
import sys
from vtbench.results.record import Record
from vtbench.results.store import Store
columns, *lines = sys.stdin.read().splitlines()
store = Store(sys.argv[1])
added = 0
for line in lines:
    added += len(store.append_missing([Record.from_cells(line.split(","), columns.split(","))]))
print(added)
"""
NO_FLOCK = """
import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


def write_at_once(results: Path, of_each: list[list[Record]], before: str = "") -> list[int]:
    """What as many processes as there are lists say that they added."""
    writers = []
    for records in of_each:
        command = [sys.executable, "-c", before + WRITER, str(results)]
        writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        writers.append((writer, csv_line(COLUMNS) + "".join(record.to_line() for record in records)))
    for writer, text in writers:
        assert writer.stdin is not None
        writer.stdin.write(text)
        writer.stdin.close()
    added = []
    for writer, _ in writers:
        assert writer.stdout is not None
        added.append(int(writer.stdout.read()))
        writer.stdout.close()
        assert writer.wait(60) == 0
    return added


@pytest.mark.parametrize(
    ("writers", "lines", "before"),
    [(3, 40, ""), (3, 15, NO_FLOCK), pytest.param(8, 1000, "", marks=pytest.mark.slow)],
    ids=["flock", "no flock", "8 x 1000"],
)
def test_a_line_that_several_want_to_write_is_there_once(
    tmp_path: Path, record: Make, writers: int, lines: int, before: str
) -> None:
    """Each has lines of its own and, between them, lines that all have."""
    shared = [record(seed=seed) for seed in range(lines // 2)]
    of_each = []
    for number in range(writers):
        own = [record(seed=seed, id=f"msca/table2:row{number}") for seed in range(lines - len(shared))]
        of_each.append([one for pair in zip(shared, own, strict=False) for one in pair] + own[len(shared) :])
    added = write_at_once(tmp_path, of_each, before)
    wanted = {line for records in of_each for line in records}
    found = Store(tmp_path).read()
    assert len(found) == len(wanted) == sum(added), "none lost, none doubled"
    assert set(found) == wanted, "none torn"
    for number in range(writers):
        seeds = [one.seed for one in found if one.id.endswith(f"row{number}")]
        assert seeds == sorted(seeds), "in the order in which each wrote them"
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]


def test_the_same_line_is_not_added_again_though_a_newer_one_stands_after_it(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    first, other = record(top1=10.0), record(top1=20.0, finished_at="2026-02-01T00:00:00Z")
    assert store.append_missing([first, first]) == [first]
    assert store.append_missing([other]) == [other]
    assert store.append_missing([first]) == []
    assert store.append_missing([first, record(top1=10.0, seed=1)]) == [record(top1=10.0, seed=1)]
    assert [one.top1 for one in Store(tmp_path).read()] == [10.0, 10.0, 20.0]


def test_the_newest_line_is_the_one_measured_last_wherever_it_stands(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.append(record(top1=20.0, finished_at="2026-02-02T00:00:00Z"))
    store.append(record(top1=10.0, finished_at="2026-02-01T00:00:00Z"))
    store.append(record(top1=15.0, finished_at="2026-02-01T00:00:00Z", evaluation_key="another"))
    slot = ("msca/table2:msca-kv", "main", "mini", 0)
    for one in (store, Store(tmp_path)):
        newest = one.newest(*slot)
        assert newest is not None and newest.top1 == 20.0
        assert [r.top1 for r in one.read()] == [10.0, 15.0, 20.0]
        assert [r.top1 for r in one.find("ba9876543210", "mini")] == [10.0, 20.0]
        of_another = one.newest(*slot, evaluation_key="another")
        assert of_another is not None and of_another.top1 == 15.0


def test_what_another_process_added_replaced_or_removed_is_seen(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    slot = ("msca/table2:msca-kv", "main", "mini")
    for seed in range(3):
        store.append(record(seed=seed))
    assert store.newest(*slot, 2) is not None
    Store(tmp_path).append(record(seed=3))
    assert store.newest(*slot, 3) is not None and len(store.read()) == 4
    lines = store.path.read_text().splitlines(keepends=True)
    store.path.write_text("".join(lines[:2]))  # as sed -i, by another file or by the same
    assert store.newest(*slot, 2) is None and [r.seed for r in store.read()] == [0]
    store.path.write_text("".join([*lines[:1], *lines[3:], *lines[1:3], record(seed=9).to_line()]))
    assert sorted(r.seed for r in store.read()) == [0, 1, 2, 3, 9], "the beginning is not what it was"
    store.path.unlink()
    assert store.read() == [] and store.newest(*slot, 0) is None


REPOSITORY = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    subprocess.run(command, check=True, capture_output=True)


def checkout(folder: Path, line: Record) -> Store:
    """A repository with our attributes and one line of results, and a branch `other` of it."""
    git(folder, "init", "-b", "main")
    (folder / ".gitattributes").write_text((REPOSITORY / ".gitattributes").read_text())
    store = Store(folder / "results")
    store.append(line)
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    git(folder, "branch", "other")
    return store


def test_two_branches_that_both_added_lines_merge(tmp_path: Path, record: Make) -> None:
    store = checkout(tmp_path, record(seed=0))
    git(tmp_path, "switch", "other")
    store.append(record(seed=1, top1=40.0, finished_at="2026-02-01T00:00:00Z"))
    store.append(record(seed=2))
    git(tmp_path, "commit", "-am", "other")
    git(tmp_path, "switch", "main")
    store.append(record(seed=1, top1=50.0, finished_at="2026-02-02T00:00:00Z"))
    store.append(record(seed=2))
    git(tmp_path, "commit", "-am", "here")
    git(tmp_path, "merge", "other", "--no-edit")
    found = Store(store.folder)
    assert {(r.seed, r.top1) for r in found.read()} == {(0, 100 / 3), (1, 40.0), (1, 50.0), (2, 100 / 3)}
    newest = found.newest("msca/table2:msca-kv", "main", "mini", 1)
    assert newest is not None and newest.top1 == 50.0, "though that of the other branch stands behind it"


@pytest.mark.parametrize("newer", ["main", "other"])
def test_two_branches_of_which_one_has_new_columns_merge_as_the_readme_says(
    tmp_path: Path, record: Make, newer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = checkout(tmp_path, record(seed=0))
    older = [list(line[:-1]) for line in csv.reader(store.path.read_text().splitlines())]  # from before the checksum
    store.path.write_text("".join(map(csv_line, older)))
    git(tmp_path, "commit", "-am", "older")
    git(tmp_path, "branch", "-f", "other")
    for number, branch in enumerate(("main", "other"), start=1):
        git(tmp_path, "switch", branch)
        if branch == newer:
            store.append(record(seed=number))
        else:
            cells = next(csv.reader([record(seed=number).to_line()]))
            store.path.write_text("".join(map(csv_line, [*older, cells[:-1]])))
        git(tmp_path, "commit", "-am", branch)
    git(tmp_path, "switch", "main")
    git(tmp_path, "merge", "other", "--no-edit")
    with pytest.raises(ResultsError, match=r"results\.csv:\d: a second header, of a git merge"):
        store.read()
    assert main(["results", "verify", "--results", str(store.folder)]) == 1
    assert "sed -i" not in capsys.readouterr().err, "lines under the other header are whole"
    text = (REPOSITORY / "results" / "README.md").read_text()
    commands = text.partition("git checkout HEAD^1")[2].partition("\n```")[0]
    own = {"PYTHONPATH": str(REPOSITORY), "GIT_CONFIG_COUNT": "2"}
    for number, name in enumerate(("name", "email")):
        own |= {f"GIT_CONFIG_KEY_{number}": f"user.{name}", f"GIT_CONFIG_VALUE_{number}": "a@b"}
    vtbench = f'vtbench() {{ "{sys.executable}" -m vtbench "$@"; }}; set -e\n'
    script = f"{vtbench}git checkout HEAD^1{commands}"
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env={**os.environ, **own}, check=True, capture_output=True)
    assert sorted(r.seed for r in store.read()) == [0, 1, 2]
    assert store.path.read_text().count("\nid,") == 0
    done = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "?? theirs/\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("<<<<<<< HEAD", "git left a conflict there"),
        (",".join(COLUMNS[:-1]), "a second header, of a git merge with a file of other columns"),
    ],
)
def test_what_a_git_merge_left_is_named(tmp_path: Path, record: Make, line: str, says: str) -> None:
    store = Store(tmp_path)
    store.append(record())
    with store.path.open("a") as file:
        file.write(line + "\n" + record(seed=1).to_line())
    with pytest.raises(ResultsError) as caught:
        store.read()
    remedy = "take one side and merge the other with `vtbench results merge`, as results/README.md says"
    assert str(caught.value) == f"{store.path}:3: {says}; {remedy}"


# -- without flock -----------------------------------------------------------------------------------------------------


def test_a_file_system_with_no_lock_of_any_kind_is_found_by_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    def acquire(_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(fcntl, "flock", flock)
    Store(tmp_path).check()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("filelock.SoftFileLock.acquire", acquire)
    with pytest.raises(ResultsError, match=r"the file system has no locks \(Operation not permitted\).*--results DIR"):
        Store(tmp_path).check()


def test_a_file_that_a_lost_process_holds_is_named_with_what_to_remove(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.append(record())

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr("vtbench.results.store.PATIENCE_S", 0.1)
    (tmp_path / ".results.csv.held").write_text("7\nanother-host\n")
    remedy = rf"another process has held it for 0\.1 s; remove {tmp_path}/\.results\.csv\.held if that process is gone"
    for act in (lambda: store.append(record(seed=1)), store.read):
        with pytest.raises(ResultsError, match=remedy):
            act()
    (tmp_path / ".results.csv.held").unlink()
    store.append(record(seed=1))
    assert len(store.read()) == 2


def test_a_folder_that_can_only_be_read_is_read_without_a_lock(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.append(record())

    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    def acquire(_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr("filelock.SoftFileLock.acquire", acquire)
    assert store.read() == [record()]
    with pytest.raises(ResultsError, match=r"results\.csv: cannot be written: Read-only file system; free space"):
        store.append(record(seed=1))


# -- odd files ---------------------------------------------------------------------------------------------------------


def test_a_file_that_a_spreadsheet_saved_is_read_and_added_to(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.append(record(top1=25.0, dirty=True))
    text = store.path.read_text().replace(",true,", ",TRUE,").replace(",25.0,", ",25,").replace("\n", "\r\n")
    store.path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    store.check()
    store.append(record(seed=1))
    assert Store(tmp_path).read() == store.read() == [record(top1=25.0, dirty=True), record(seed=1)]
    assert store.path.read_bytes().count(b"\xef\xbb\xbf") == 1


def test_an_older_file_with_a_byte_order_mark_is_completed_without_it(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    cells = next(csv.reader([record().to_line()]))
    store.path.write_text("\ufeff" + csv_line(COLUMNS[:-1]) + csv_line(cells[:-1]))
    store.append(record(seed=1))
    assert store.path.read_text().startswith(csv_line(COLUMNS))
    assert store.read() == [record(), record(seed=1)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (",".join(map(str, range(10**6))), r"results\.csv:1: .*unknown: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\)"),
        ("x" * 10**7, r"results\.csv:1: "),
        ("seed,seed\n", r"results\.csv:1: .*twice: seed"),
        ("HEADER\n" + "1," * 10**6, r"results\.csv:2: .*(more than 1048576 bytes|1000001 of \d+ values)"),
        ("HEADER\n" + "1" * 10**7, r"results\.csv:2: .*more than 1048576 bytes"),
        ("HEADER\n" + "\0" * 500, r"results\.csv:2: the last line is truncated: 1 of \d+ values"),
        ("HEADER\nLINE\0", r"results\.csv:2: .*checksum: is"),
        ("HEADER\nLONG\n", r"results\.csv:2: the line is broken: seed: must be a whole number, not '999"),
        ("HEADER\n\x1b]0;owned\x07\n", r"results\.csv:2: the line is broken: 1 of \d+ values"),
    ],
    ids=["columns", "header", "twice", "wide", "long", "NUL", "NUL in a cell", "long cell", "escape"],
)
def test_what_is_no_line_is_one_short_line(tmp_path: Path, record: Make, content: str, says: str) -> None:
    store = Store(tmp_path)
    line = record().to_line().rstrip("\n")
    long = line.replace(",mini,0,", f",mini,{'9' * 200_000}x,")
    for word, text in (("HEADER", ",".join(COLUMNS)), ("LINE", line), ("LONG", long)):
        content = content.replace(word, text)
    store.path.write_text(content)
    acts = [store.read, store.check]
    torn = content.endswith("\0")  # as a loss of power leaves it: it would be set aside
    # An append reads the first line and the end of the last.
    if content.startswith("seed") or not (torn or content.endswith("\n")):
        acts.append(lambda: store.append(record(seed=1)))
    for act in acts:
        with pytest.raises(ResultsError, match=says) as caught:
            act()
        message = str(caught.value)
        assert len(message) < 1500 + 3 * len(str(store.path)) and message.isprintable()
    assert store.path.read_text() == content


def test_a_changed_cell_is_found_by_the_checksum(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        store.append(record(seed=seed, top1=25.0))
    store.path.write_text(store.path.read_text().replace(",25.0,", ",26.0,", 2))
    with pytest.raises(
        ResultsError, match=r"results\.csv:2: the line is broken: checksum: is '\w{8}', that of the other "
    ):
        store.read()


def test_a_column_that_is_added_later_leaves_checksums_alone(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    lacking = ("root", "begun")
    kept = [COLUMNS.index(name) for name in COLUMNS if name not in lacking]
    cells = next(csv.reader([record(root=None, begun=None).to_line()]))
    store.path.write_text(csv_line([COLUMNS[i] for i in kept]) + csv_line([cells[i] for i in kept]))
    store.append(record(seed=1))
    assert store.read() == [record(), record(seed=1)]
    assert store.read()[0].checksum == cells[-1] and len(cells[-1]) == 8
