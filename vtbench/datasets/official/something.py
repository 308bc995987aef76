"""Something-Something: lines of `id;label` (V1), or a JSON list of videos with id and template (V2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vtbench.datasets.official.listed import Listed, lines, read_json
from vtbench.errors import DataError
from vtbench.fields import whole_number

V1 = ("", ".mp4", ".mkv", ".avi")
V2 = (".webm", ".mp4", ".mkv", ".avi")
"""What the videos of a version are: V1 comes as frames, V2 as webm, both with numbers for names. Either may have been
encoded again."""


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a list."""
    if head.lstrip().startswith(("[", "{")):
        return '"template"' in head
    return head.partition("\n")[0].partition(";")[0].strip().isdigit()


def videos(file: Path, split: str) -> Iterator[Listed]:
    """The videos of a list. V2 names the class by its template, in which the things stand in brackets."""
    if file.suffix.lower() != ".json":
        for line, source in lines(file):
            video_id, semicolon, label = line.partition(";")
            if not semicolon or not label.strip() or not video_id.strip().isdigit():
                raise DataError(f"{source}: '{line}' must be id;label")
            yield Listed(video_id.strip(), label.strip(), (video_id.strip(),), source, V1)
        return
    found = read_json(file)
    if not isinstance(found, list):
        raise DataError(f"{file}: must be a list of videos; the labels' file is another one")
    for number, video in enumerate(found):
        source = f"{file}[{number}]"
        if not isinstance(video, dict) or not {"id", "template"} <= video.keys():
            raise DataError(f"{source}: must have id and template")
        label = str(video["template"]).replace("[", "").replace("]", "")
        yield Listed(str(video["id"]), label, (str(video["id"]),), source, V2)


def classes(file: Path) -> list[str]:
    """The names in the labels' file: one a line (V1), or name -> number as text (V2)."""
    if file.suffix.lower() != ".json":
        return [line for line, _ in lines(file)]
    found = read_json(file)
    numbers = {name: whole_number(str(number)) for name, number in found.items()} if isinstance(found, dict) else {}
    if not isinstance(found, dict) or None in numbers.values():
        raise DataError(f"{file}: must be class -> number")
    return sorted(numbers, key=lambda name: numbers[name] or 0)
