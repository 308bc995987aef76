"""The arguments of a method against its signature: names, bounds and what goes together."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

import lightning as L

from vtbench.errors import UsageError, unknown
from vtbench.fields import BOUNDS, broken_rules, empty_word, outside


def refuse_unknown(method: type[L.LightningModule], given: Mapping[str, Any]) -> None:
    """Raise UsageError for what is left over of a method's arguments and is none of VideoClassifier's either."""
    bases = _bases(method)
    common = inspect.signature(bases[-1].__init__).parameters
    for name in given:
        if name not in common:
            own = [base.__init__ for base in bases if "__init__" in vars(base)]
            every = [parameter for init in own for parameter in inspect.signature(init).parameters]
            known = [p for p in dict.fromkeys(every) if p not in ("self", "recipe", "common")]
            raise UsageError(unknown("argument", name, known, of=method.__name__))


def check_arguments(method: type[L.LightningModule], given: Mapping[str, Any]) -> None:
    """Raise UsageError for arguments outside the bounds of their annotations, and for those that do not go together, by
    `needs` and `forbids` of a method and of its bases. `given`: arguments by name, None for one that is left out."""
    bases = list(reversed(_bases(method)))
    for base in bases:
        for name, bounds in _bounds(base):
            if wrong := outside(given.get(name), bounds):
                raise UsageError(f"{name} {wrong}")
    needs, forbids = (
        {name: rule for base in bases for name, rule in vars(base).get(kind, {}).items()}
        for kind in ("needs", "forbids")
    )
    for name, other, values in broken_rules(needs, forbids, given):
        if not values:
            word = empty_word(given[name])
            raise UsageError(f"{name} is {given[name]}, must be {word} with the {other} {given[other]}")
        found = "missing" if given.get(name) is None else f"given with {given.get(other)}"
        raise UsageError(f"{name} belongs to the {other} {' and '.join(values)}, which needs it; it is {found}")


def _bases(method: type[L.LightningModule]) -> tuple[type[L.LightningModule], ...]:
    """A method and what it is derived from, up to VideoClassifier."""
    return method.__mro__[: method.__mro__.index(L.LightningModule)]


def _bounds(method: type[L.LightningModule]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of a class's own `__init__`: argument, and the bounds in its annotation as vtbench.fields.outside takes them."""
    hints: dict[str, Any] = {}
    if "__init__" in vars(method):
        with contextlib.suppress(NameError):  # of the user's, not to be looked up; `vtbench check` reads the source
            hints = get_type_hints(method.__init__, include_extras=True)
    for name, hint in hints.items():
        for part in (hint, *get_args(hint)):
            for bound in getattr(part, "__metadata__", ()):
                found = {kind: getattr(bound, kind, None) for kind in BOUNDS}
                yield name, {kind: limit for kind, limit in found.items() if limit is not None}
