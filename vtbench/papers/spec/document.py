"""YAML text to nodes that know their file, line and key, and nodes to frozen dataclasses.

The annotations of a dataclass are the schema, as vtbench.fields says: a key that is not a field, a value of another
type, a missing field or a key written twice ends in `SpecError("<file>:<line>: <key>: <what is wrong>")`.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar, Union, get_origin

import yaml

from vtbench.errors import HIDDEN, SpecError, did_you_mean, unknown
from vtbench.fields import check, in_words, is_required, parts, scalar, writable
from vtbench.files import why_no_file
from vtbench.papers.roots import shown
from vtbench.scales import without_scale

T = TypeVar("T")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it: ten times faster
_SCALARS = yaml.SafeLoader("")


class Node:
    """One YAML value: a scalar, a list of nodes or a dict of nodes, with where it stands.

    `value` is a str, int, float, bool, None, list[Node] or dict[str, Node]; `line` counts from 1;
    `key` is the dotted way to it from the top of the file ("rows[2].model.depth"); `file` is as messages print it.
    """

    __slots__ = ("file", "key", "line", "value")

    def __init__(self, value: Any, file: str, line: int, key: str) -> None:
        self.value, self.file, self.line, self.key = value, file, line, key

    def fail(self, what: str, below: str = "") -> NoReturn:
        """Raise SpecError about this node, or about the key `below` it that is not there."""
        key = ".".join(part for part in (self.key, below) if part)
        raise SpecError(f"{self.file}:{self.line}: {key + ': ' if key else ''}{what}")

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


class Problems:
    """Collects SpecErrors, so that one reading finds everything that is wrong.

    >>> problems = Problems()
    >>> for name, node in values.items():
    ...     with problems.collected():
    ...         read[name] = convert(node, hints[name])
    >>> problems.refuse()
    """

    def __init__(self, found: Iterable[str] = ()) -> None:
        self.found: list[str] = []
        self._seen: set[str] = set()
        self.add_lines(found)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep a SpecError that is raised inside, and continue behind the block."""
        try:
            yield
        except SpecError as error:
            self.add(error)

    def add(self, error: SpecError) -> None:
        """Keep what an error says."""
        self.add_lines(error.problems)

    def add_lines(self, lines: Iterable[str]) -> None:
        """Keep lines, each once, also where a smaller scale only repeats it."""
        for line in lines:
            if (bare := without_scale(line)) not in self._seen:
                self._seen.add(bare)
                self.found.append(line)

    def refuse(self) -> None:
        """Raise what was collected as one SpecError; nothing if all is well."""
        if self.found:
            raise SpecError(self.found[0], self.found[1:])


def read_yaml(path: Path, *, a_list: bool = False) -> Node:
    """The top node of a YAML file, without keys if the file is empty. SpecError if it cannot be read, is no YAML, or
    holds anything but keys and values at the top; or, if `a_list` is wanted, anything but a list."""
    file = shown(path)
    why = why_no_file(path)
    if why and why.startswith("is "):  # what is no file might never end
        raise SpecError(f"{file}: {why}, a YAML file is wanted; rename or remove it")
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise SpecError(f"{file}: has {size} bytes, at most {MOST_BYTES} are read; split it")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{file}: is not text in UTF-8 (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise SpecError(f"{file}: cannot be read: {error.strerror}; check its permissions") from error
    try:
        root = _composed(text, file)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(error, "problem", None) or error).split())
        raise SpecError(f"{file}{line}: not YAML: {what}") from error
    if root is None:
        return Node([] if a_list else {}, file, 1, "")
    if not isinstance(root, yaml.SequenceNode if a_list else yaml.MappingNode):
        raise SpecError(f"{file}:1: must hold {'a list' if a_list else 'keys and values'} at the top")
    return _node(root, file, "", _Left())


def node_of(text: str, file: str, key: str) -> Node:
    """The node of a single YAML value, as if `key` of `file` held it. Raises yaml.YAMLError, SpecError."""
    raw = _composed(text, file)
    return Node(None, file, 1, key) if raw is None else _node(raw, file, key, _Left())


DEEPEST = 64
"""Levels of lists and keys within each other that a file may have. No spec has more than ten."""
LARGEST = 200_000
"""Values that a file may have, those that an alias repeats counted each time."""
MOST_BYTES = 2_000_000
"""Bytes of a file, and characters of its texts, those that an alias repeats counted each time. The largest spec has
30,000."""
LONGEST_KEY = 200
"""Characters of a key: each value below it has it in its place."""
LARGEST_WHOLE = 2**53
"""The largest whole number, either way: up to it they are exact as floating point numbers too."""
_COLLECTIONS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


def _composed(text: str, file: str) -> yaml.Node | None:
    """The raw node of a document. What is nested too deep is refused before libyaml composes it: that overflows its
    stack, and takes it quadratic time. Raises yaml.YAMLError, SpecError."""
    lines = text.splitlines()
    if text.count("[") + text.count("{") >= 1000:
        depth = 0
        for number, line in enumerate(lines, start=1):
            for character in line:
                depth += (character in "[{") - (character in "]}")
                if depth > 10 * DEEPEST:
                    _refuse_deep(file, number)
    if max(map(len, lines), default=0) >= 1000:  # without brackets, each level begins further right in its line
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):  # which has no stack
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                _refuse_deep(file, event.start_mark.line + 1 if event.start_mark else 1)
    return yaml.compose(text, Loader=_LOADER)


def _refuse_deep(file: str, line: int) -> NoReturn:
    raise SpecError(f"{file}:{line}: nested more than {DEEPEST} deep; write it flatter")


@dataclasses.dataclass
class _Left:
    """How many more values, characters and levels a document may have."""

    values: int = LARGEST
    characters: int = MOST_BYTES
    levels: int = DEEPEST


def _node(raw: yaml.Node, file: str, key: str, left: _Left) -> Node:
    node = Node(None, file, raw.start_mark.line + 1, key)
    left.values -= 1
    left.characters -= len(raw.value) if isinstance(raw, yaml.ScalarNode) else 0
    if left.levels == 0:
        node.key = f"{key[:40]}..."
        node.fail(f"nested more than {DEEPEST} deep, or an alias that holds itself; write it flatter")
    if left.values < 0:
        node.fail(f"is the {LARGEST + 1}st value of the file; remove aliases that repeat each other")
    if left.characters < 0:
        node.fail(f"brings the file's texts above {MOST_BYTES} characters; remove aliases that repeat long ones")
    left.levels -= 1
    if isinstance(raw, yaml.CollectionNode) and raw.tag not in _COLLECTIONS:
        node.fail(f"has the tag {raw.tag}; write plain keys and values, or a list")
    if isinstance(raw, yaml.MappingNode):
        node.value = {}
        for raw_name, raw_value in raw.value:
            name = raw_name.value if isinstance(raw_name, yaml.ScalarNode) else "a list or keys as a key"
            if len(name) > LONGEST_KEY:
                node.fail(f"has a key of {len(name)} characters, at most {LONGEST_KEY} are read; shorten it")
            inner = _node(raw_value, file, f"{key}.{name}" if key else name, left)
            inner.line = raw_name.start_mark.line + 1  # a block's key, not its first line, is what one looks for
            _refuse_hidden(inner, name)
            if name in node.value:
                inner.fail(f"written twice, first in line {node.value[name].line}; keep one")
            node.value[name] = inner
    elif isinstance(raw, yaml.SequenceNode):
        node.value = [_node(item, file, f"{key}[{i}]", left) for i, item in enumerate(raw.value)]
    elif raw.tag == "tag:yaml.org,2002:str":
        node.value = raw.value
        _refuse_hidden(node, raw.value)
    else:
        try:
            node.value = _SCALARS.construct_object(raw)
        except (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            why = getattr(error, "problem", None) or str(error)
            if isinstance(error, LookupError | AttributeError):  # the parser's own stumbling
                why = f"{raw.value[:40]!r} spells no {raw.tag.rpartition(':')[2]}"
            node.fail(f"not a plain YAML value: {why}")
        if isinstance(node.value, int) and abs(node.value) > LARGEST_WHOLE:
            node.fail(f"is {raw.value}, beyond {LARGEST_WHOLE}; write a smaller number")
    left.levels += 1
    return node


def _refuse_hidden(node: Node, text: str) -> None:
    """Refuse text that would do something to the terminal which prints it."""
    if not text.isprintable() and (found := HIDDEN.search(text)):
        node.fail(f"holds the control character U+{ord(found[0]):04X}; write the text without it")


# ---- nodes to dataclasses ------------------------------------------------------------------------------------------


def build(
    cls: type[T],
    where: Node,
    values: Mapping[str, Node] | None = None,
    *,
    also: Iterable[str] = (),
    removed: Mapping[str, Node] | None = None,
    problems: Problems | None = None,
    together: Callable[[str], NoReturn] | None = None,
) -> T:
    """A dataclass from a mapping node. Only fields made with `key()` can be written in a file. A missing field is
    reported at `where`, a wrong one at its own line.

    - values: the keys, when they come from more than one node
    - also: keys that somebody else reads
    - removed: keys that an empty value took away, with where it stands
    - problems: where to keep what is wrong, instead of raising it; a field that is wrong then has its default, or None
    - together: raises what the class says about keys that do not go together; by default at `where`
    """
    if values is None:
        if not isinstance(where.value, dict):
            where.fail(f"must be keys and values, not {described(where)}")
        values = where.value
    fields = writable(cls)  # type: ignore[arg-type]
    found = Problems() if problems is None else problems
    misspelt = [name for name in values if name not in fields and name not in also]
    for name in misspelt:
        with found.collected():
            values[name].fail(unknown("key", name, [*fields, *also]))
    arguments = {}
    for name, (field, hint) in fields.items():
        if name in values:
            node = values[name]
            special = field.metadata["read"]
            try:  # not `with problems.collected()`: this runs for every key of every row
                arguments[name] = special(node) if special else convert(node, hint)
                check(arguments[name], field.metadata)
            except SpecError as error:
                found.add(error)
            except ValueError as error:
                with found.collected():
                    node.fail(str(error))
        elif is_required(field):
            arguments[name] = None  # never seen: without `problems`, the next thing is to refuse
            # Of a misspelt key and the key that is missing for it, the first says it all.
            if not any(_is_near(name, wrong) for wrong in misspelt):
                with found.collected():
                    _fail_missing(name, field, where, removed or {})
    if problems is None:
        found.refuse()
    else:
        arguments |= {name: None for name, (field, _) in fields.items() if is_required(field) and name not in arguments}
    try:
        return cls(**arguments)
    except ValueError as error:  # what a class says in __post_init__ about keys that do not go together
        (together or where.fail)(str(error))
        raise AssertionError from error  # not reached: both raise


def _fail_missing(name: str, field: dataclasses.Field[Any], where: Node, removed: Mapping[str, Node]) -> NoReturn:
    if name in removed:
        removed[name].fail(f"is removed here, and cannot be missing; it is {field.metadata['doc']}")
    where.fail(f"missing; it is {field.metadata['doc']}", below=name)


def _is_near(name: str, misspelt: str) -> bool:
    return bool(did_you_mean(misspelt, [name]))


def convert(node: Node, hint: Any) -> Any:
    """The value of `node` as the annotation `hint` wants it, or SpecError at its line."""
    value = node.value
    if type(value) is hint and hint is not float:  # most values are; a float may be infinite
        return value
    origin, inner, _ = parts(hint)
    if hint is Any:
        return _plain(node)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        arms = [arm for arm in inner if arm is not type(None)]
        fitting = [arm for arm in arms if (get_origin(arm) is tuple) == isinstance(value, list)]
        return convert(node, (fitting or arms)[0])
    if origin is tuple:
        if not isinstance(value, list):
            node.fail(f"must be a list, not {described(node)}")
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(convert(item, inner[0]) for item in value)
        if len(value) != len(inner):
            node.fail(f"must be a list of {len(inner)}, not of {len(value)}")
        return tuple(convert(item, arm) for item, arm in zip(value, inner, strict=True))
    if origin is list:
        if not isinstance(value, list):
            node.fail(f"must be a list, not {described(node)}")
        return [convert(item, inner[0] if inner else Any) for item in value]
    if origin is dict:
        if not isinstance(value, dict):
            node.fail(f"must be keys and values, not {described(node)}")
        return {name: convert(item, inner[1]) for name, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return build(hint, node)  # type: ignore[arg-type]
    try:
        return scalar(value, hint)
    except ValueError as error:
        numbers = hint is float and isinstance(value, str)
        node.fail(f"{error}{'; YAML reads 1e-3 as text, write 1.0e-3 or 0.001' if numbers else ''}")


def _plain(node: Node) -> Any:
    """A value whose type nobody names: whatever JSON has too."""
    if isinstance(node.value, dict):
        return {name: _plain(inner) for name, inner in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(inner) for inner in node.value]
    if isinstance(node.value, float) and not math.isfinite(node.value):
        node.fail(f"is {node.value}, must be a finite number")
    if node.value is not None and not isinstance(node.value, str | int | float):
        node.fail(f"is {described(node)}; quote it to have it as text")
    return node.value


def described(node: Node) -> str:
    """What a node holds, in words for a message."""
    return in_words(node.value)
