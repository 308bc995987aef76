"""Diving48: a JSON list of videos with vid_name and label, a number from 0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vtbench.datasets.official.listed import Listed, read_json
from vtbench.errors import DataError


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a list."""
    return '"vid_name"' in head


def videos(file: Path, split: str) -> Iterator[Listed]:
    """The videos of a list."""
    found = read_json(file)
    if not isinstance(found, list):
        raise DataError(f"{file}: must be a list of videos")
    for number, video in enumerate(found):
        source = f"{file}[{number}]"
        if not isinstance(video, dict) or not {"vid_name", "label"} <= video.keys():
            raise DataError(f"{source}: must have vid_name and label")
        name = str(video["vid_name"])
        yield Listed(name, str(video["label"]), (name,), source)


def classes(file: Path) -> list[str]:
    """The names in Diving48_vocab.json: of each class its four words, here joined by `_`."""
    found = read_json(file)
    if not isinstance(found, list) or not all(isinstance(words, list) for words in found):
        raise DataError(f"{file}: must be a list of classes, each a list of words")
    return ["_".join(map(str, words)) for words in found]
