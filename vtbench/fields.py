"""One way to validate, for blocks of a spec (YAML) and for lines of a results file (CSV) alike: the annotations of a
frozen dataclass are its schema, and each field made with `key()` adds what it means, its unit and its range.

    @dataclass(frozen=True, kw_only=True)
    class Protocol:
        clips: int = key("clips per video", at_least=1)
        clip_seed: int | None = key("seed of random clip starts", default=None, at_least=0)

What is wrong with a value is a ValueError that continues the name of the field: "is 0, must be at least 1". Whoever
knows where the value stands (file, line, key or column) puts that in front. Done here rather than with pydantic because
importing pydantic takes almost as long as all of `vtbench list`.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vtbench.errors import did_you_mean


def key(doc: str, *, default: Any = dataclasses.MISSING, unit: str = "", at_least: float | None = None,
        above: float | None = None, at_most: float | None = None, read: Callable[[Any], Any] | None = None,
        check: Callable[[Any], object] | None = None, compare: bool = True) -> Any:  # fmt: skip
    """A dataclass field that a file can hold.

    - doc: its meaning, which messages and documentation show
    - unit: of its numbers
    - at_least, above, at_most: the range of its numbers, alone or in a list
    - read: in a spec, what reads the node instead of the annotation
    - check: raises ValueError for a value that has the right type and still cannot be; not called with None
    - compare: whether two values that differ in it alone differ
    """
    bounds = {kind: limit for kind, limit in (("ge", at_least), ("gt", above), ("le", at_most)) if limit is not None}
    metadata = {"doc": doc, "unit": unit, "bounds": bounds, "read": read, "check": check}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata, compare=compare)
    return dataclasses.field(default=default, metadata=metadata, compare=compare)


@cache
def writable(cls: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """The fields of a dataclass that a file can hold, made with `key()`, each with its annotation."""
    hints = get_type_hints(cls)
    return {f.name: (f, hints[f.name]) for f in dataclasses.fields(cls) if f.metadata}


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Whether a file must give the field."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def may_be_empty(hint: Any) -> bool:
    """Whether an annotation takes None, which a file writes as an empty value."""
    return type(None) in parts(hint)[1]


_parts: dict[int, tuple[Any, Any, tuple[Any, ...], Any]] = {}


def parts(hint: Any) -> tuple[Any, tuple[Any, ...], Any]:
    """Origin and arguments of an annotation, and the annotation without None. Remembered by identity: Literals with the
    same choices in another order are equal."""
    found = _parts.get(id(hint))
    if found is None:
        origin, inner = get_origin(hint), get_args(hint)
        some = next(arm for arm in inner if arm is not type(None)) if origin in (Union, types.UnionType) else hint
        found = _parts[id(hint)] = (hint, origin, inner, some)  # holding it keeps its id its own
    return found[1:]


# ---- values ----------------------------------------------------------------------------------------------------------


def scalar(value: Any, hint: Any) -> Any:
    """A single value as its annotation wants it: int, float, str, bool, a Literal, or one of them or None.

    A whole number serves as a float. Raises ValueError for any other type, for a choice that a Literal lacks, and for
    a number that is not finite.
    """
    if type(value) is hint and hint is not float:  # most values are; a float may be infinite
        return value
    origin, inner, some = parts(hint)
    if some is not hint:
        return None if value is None and type(None) in inner else scalar(value, some)
    if origin is Literal:
        if value not in inner or type(value) not in {type(choice) for choice in inner}:
            raise ValueError(not_one_of(value, inner))
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, int) and abs(value) > 1e300:
            raise ValueError("is too large a number")
        if not math.isfinite(value):
            raise ValueError(f"is {value}, must be a finite number")
        return float(value)
    if type(value) is not hint:
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        raise ValueError(f"must be {names[hint]}, not {in_words(value)}")
    return value


def from_text(text: str, hint: Any) -> Any:
    """A cell of text as the value that it spells: None for an empty one, true and false, numbers. What spells no value
    of the annotation's type stays text, which `scalar` refuses."""
    if text == "":
        return None
    wanted = parts(hint)[2]
    if wanted is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if wanted not in (int, float):
        return text
    try:
        number = float(text)
        if wanted is float:
            return number
        return int(text) if text.lstrip("+-").isdecimal() else int(number) if number.is_integer() else number
    except ValueError:
        return text


def check(value: Any, metadata: Mapping[str, Any]) -> None:
    """Hold a value of the right type against what `key()` says of it. Raises ValueError for a number, alone or in a
    list, outside its range, and for what `check` refuses."""
    if value is None:
        return
    if (bounds := metadata["bounds"]) and (wrong := outside(value, bounds)):
        raise ValueError(wrong)
    if metadata["check"] is not None:
        metadata["check"](value)


BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "ge": (operator.ge, "at least"),
    "gt": (operator.gt, "above"),
    "le": (operator.le, "at most"),
    "lt": (operator.lt, "below"),
}
"""The kinds of bounds, as annotated_types calls them: whether a number holds one, and the words for it."""


def outside(value: Any, bounds: Mapping[str, float]) -> str | None:
    """What is wrong with a number, alone or in a list, that is outside bounds (kind of BOUNDS -> limit): "is 0, must be
    at least 1". None if nothing is; what is no number has no bounds."""
    for number in value if isinstance(value, tuple | list) else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        for kind, limit in bounds.items():
            holds, words = BOUNDS[kind]
            if not holds(number, limit):
                return f"is {number}, must be {words} {limit}"
    return None


Rules = Mapping[str, Sequence[str]]
"""Argument -> another argument, and those of its values that the rule is about."""


def broken_rules(needs: Rules, forbids: Rules, given: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The rules that arguments break, each as argument, other argument and the other's values in the rule.

    - needs: the argument is there if and only if the other one has one of these values
    - forbids: the argument is 0 or left out if the other one has one of these values
    - given: arguments by name; None for one that is left out
    """
    for name, (other, *values) in needs.items():
        if (given.get(other) in values) != (given.get(name) is not None):
            yield name, other, tuple(values)
    for name, (other, *values) in forbids.items():
        if given.get(name) and given.get(other) in values:
            yield name, other, ()


def whole_number(text: str) -> int | None:
    """The whole number from 0 that a text spells in ASCII digits, at most 19 of them; None for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None


# ---- words -----------------------------------------------------------------------------------------------------------


def in_words(value: Any) -> str:
    """What a value is, for a message."""
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    if value is None or value == "":
        return "empty"
    kind = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(type(value))
    return f"{value!r}, which is {kind}" if kind else f"{value}, which is a {type(value).__name__}"


def empty_word(value: Any) -> str:
    """What a value must be where a rule forbids it: 0, or, for what is no number, left out."""
    return "0" if isinstance(value, int | float) and not isinstance(value, bool) else "left out"


def not_one_of(value: Any, choices: Iterable[Any]) -> str:
    """The message for a value that is not among the choices of its name, which stands in front of it: "is 'kv', must be
    one of q, qkv; did you mean 'qkv'?"."""
    choices = list(choices)
    found = in_words(value) if isinstance(value, list | dict) else repr(value)
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"is {found}, must be one of {', '.join(map(str, choices))}{hint}"
