"""A folder of videos re-encoded: which files, in which processes, and what lies beside them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vtbench import __version__
from vtbench.datasets.folders import files_below
from vtbench.datasets.prepare.encode import Encoding, reencode
from vtbench.datasets.prepare.files import remove_made, remove_parts, written_whole
from vtbench.datasets.prepare.h264 import H264
from vtbench.datasets.prepare.lists import copy_texts, read_lists, write_lists
from vtbench.datasets.prepared import PREPARED, Prepared, fingerprint, read_prepared
from vtbench.errors import DataError
from vtbench.processes.pool import in_processes

__all__ = ["Reencoded", "prepare"]

# More than the data sets are read from: what people have, and what FFmpeg tells apart by content anyway.
SOURCE_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp", ".ogv"),
    *(".h264", ".264", ".hevc"),
)

_LINE_EVERY = 30.0  # seconds between two lines of progress


@dataclass
class Reencoded:
    """What `prepare` did. encoded, kept: files written now, and found finished. failed: one line per source file that
    could not be re-encoded or copied. manifests: the split files written. copied: the other text files."""

    encoded: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)
    manifests: list[Path] = field(default_factory=list)
    copied: list[Path] = field(default_factory=list)


def prepare(
    source: str | Path,
    target: str | Path,
    *,
    encoding: Encoding | None = None,
    workers: int = 1,
    report: Callable[[str], None] = print,
) -> Reencoded:
    """Re-encode every video below `source` to the same relative path below `target`, with the suffix .mp4.

    encoding: `H264()` unless given, or `Mpeg4()`, with their settings. Pictures are turned as the display matrix of the
    file says. Each frame is shown at its own time, counted from the start of the file. Audio is copied where mp4 can
    hold it, else encoded as AAC. Links to folders are followed, and hidden files left out. Split files below `source`
    (*.csv with the header path,label) are rewritten to the new names; their lines for videos that failed stay, and are
    missed when the data set is read: what was made of an earlier state of such a video is removed. Other .csv, .json
    and .txt files are copied as they are.

    A file is written under a name of its own, decoded, compared with its source (as many frames, each at its time
    within a tick, an I-frame every `gop`) and then renamed. A finished file is kept; it is done again if the recipe,
    the size or the time of change of its source, or any of its own bytes are not as they were, for which it is read
    once. `workers` processes share the files; several runs may write to one target, but do the work twice. At the end
    `prepared.json` says what was done (`vtbench.datasets.prepared`). `report` gets one line per file that fails, and
    how far it is twice a minute. Raises DataError for folders that cannot be used and lists that cannot be read, before
    anything is encoded, and RunError if a process is killed.
    """
    source, target, encoding = Path(source), Path(target), encoding or H264()
    jobs, lists = _jobs(source, target), read_lists(source)
    remove_parts(target)
    print_of_source = fingerprint((file.relative_to(source).as_posix(), _size(file)) for file, _ in jobs)
    _forget_other(target, encoding, print_of_source)
    result, failed, made = Reencoded(), list[Path](), dict(jobs)
    reported = time.monotonic()
    for count, (file, outcome) in enumerate(_outcomes(jobs, encoding, workers), 1):
        if outcome == "encoded":
            result.encoded += 1
        elif outcome == "kept":
            result.kept += 1
        else:
            failed.append(file)
            result.failed.append(outcome)
            report(outcome)
        if time.monotonic() - reported > _LINE_EVERY:
            reported = time.monotonic()
            report(f"{count} of {len(jobs)} videos, now {file}")
    for file in failed:
        remove_made(made.pop(file))  # of what the source was before
    result.manifests = write_lists(lists, source, target, made)
    result.copied, left = copy_texts(source, target, lists.keys())
    for line in left:
        result.failed.append(line)
        report(line)
    done = Prepared(
        encoding=encoding.name,
        **encoding.settings,
        source_fingerprint=print_of_source,
        videos=len(jobs) - len(failed),
        failed=tuple(sorted(file.relative_to(source).as_posix() for file in failed)),
        vtbench=__version__,
    )
    with written_whole(target / PREPARED) as part:
        part.write_text(done.json, encoding="utf-8")
    return result


def _jobs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """(video, file to write) of all videos below `source`, sorted."""
    if not source.is_dir():
        raise DataError(f"{source}: no such folder of videos")
    try:
        inside, around = target.resolve(), source.resolve()
    except (RuntimeError, OSError) as error:
        raise DataError(f"{target}: is no path: {getattr(error, 'strerror', None) or error}; give a folder") from error
    if inside.is_relative_to(around) or around.is_relative_to(inside):
        raise DataError(f"{target}: lies within {source} or around it; give a folder beside it")
    # Also what is no file, such as a broken link: it is named as failed.
    everything = files_below(source)
    files = [p for p in everything if p.suffix.lower() in SOURCE_SUFFIXES]
    if not files:
        picture = next((p for p in everything if p.suffix.lower() in (".jpg", ".jpeg")), None)
        if picture is not None:
            found = picture.relative_to(source)
            raise DataError(f"{source}: has no videos but JPEG frames ({found}), which need no re-encoding")
        raise DataError(f"{source}: has no videos ({', '.join(SOURCE_SUFFIXES)})")
    jobs = [(file, target / file.relative_to(source).with_suffix(".mp4")) for file in files]
    first: dict[Path, Path] = {}
    for file, new in jobs:
        if new in first:
            raise DataError(f"{file}: would become {new}, as {first[new]} does; rename one of them")
        first[new] = file
    return jobs


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # named when it is its turn
        return 0


def _forget_other(target: Path, encoding: Encoding, print_of_source: str) -> None:
    """Remove a prepared.json that this run makes untrue, or that is broken."""
    try:
        found = read_prepared(target)
    except DataError:
        found = None
    settings = {"encoding": encoding.name, "source_fingerprint": print_of_source, **encoding.settings}
    if found is None or any(getattr(found, name) != value for name, value in settings.items()):
        (target / PREPARED).unlink(missing_ok=True)


def _outcomes(jobs: list[tuple[Path, Path]], encoding: Encoding, workers: int) -> Iterator[tuple[Path, str]]:
    """(video, "encoded", "kept" or why it failed), in the order they end."""
    for (file, _), outcome in in_processes(functools.partial(_outcome, encoding), jobs, workers):
        yield file, outcome


def _outcome(encoding: Encoding, job: tuple[Path, Path]) -> str:
    return reencode(*job, encoding)
