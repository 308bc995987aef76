"""From a class as a list writes it, a name or a number, to its label."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from vtbench.errors import DataError, unknown

__all__ = ["class_number", "plain_name"]


def class_number(
    text: str, *, source: str, num_classes: int, class_names: Sequence[str] | None, name: str = "this data set"
) -> int:
    """The label of a class given as its name or as its number from 0.

    A name counts whatever its case, and with any sign or space written as an underscore, as folders are often called
    (`playing_poker` for "playing poker"). Raises DataError, beginning with `source`, for no class of the data set.
    """
    exact, loose = _numbers(tuple(class_names or ()))
    if text in exact:  # before numbers: a class may be called "1"
        return exact[text]
    if re.fullmatch(r"-?[0-9]{1,18}", text) is None:
        if (found := loose.get(plain_name(text))) is not None:
            return found
        remedy = "" if exact else "; give class numbers, or a classes.txt for names"
        raise DataError(f"{source}: {unknown('class', text, exact, of=name)}{remedy}")
    label = int(text)
    if not 0 <= label < num_classes:
        raise DataError(f"{source}: label {label} is outside 0 to {num_classes - 1}")
    return label


def plain_name(text: str) -> str:
    """A class name in small letters and digits, everything else an underscore."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


@functools.lru_cache(maxsize=32)
def _numbers(names: tuple[str, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Name -> label, and plain name -> label for the plain names that only one class has."""
    plain: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        plain.setdefault(plain_name(name), []).append(number)
    exact = {name: number for number, name in enumerate(names)}
    return exact, {name: found[0] for name, found in plain.items() if len(found) == 1}
