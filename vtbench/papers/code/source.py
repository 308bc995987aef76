"""Definitions, signatures and annotations read from Python files with `ast`. Nothing is imported or run."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vtbench.errors import SpecError, unknown
from vtbench.papers.code.modules import absolute, find_spec, module_file
from vtbench.papers.roots import shown

_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}
_SEQUENCES = ("list", "List", "Sequence", "Iterable")


@dataclass(frozen=True)
class Argument:
    """One keyword of a builder: its annotated type (Any where the annotation is not a simple one) and its default."""

    hint: Any
    required: bool
    default: Any = None
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """`ge`, `gt`, `le`, `lt`, where the annotation is Annotated with bounds of annotated_types."""


# ---- names in files --------------------------------------------------------------------------------------------------


@cache
def _module(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        raise SpecError(f"{shown(path)}{line}: is not Python: {error.msg}") from error
    except (OSError, ValueError) as error:
        raise SpecError(f"{shown(path)}: cannot be read for its signatures: {error}") from error


@cache
def dict_of_names(path: Path, variable: str) -> Mapping[str, str]:
    """A dictionary of literals that a file holds under a name: name -> "module:attribute". Raises SpecError."""
    names: Mapping[str, str] = ast.literal_eval(_dict(path, variable))
    return names


@cache
def dict_keys(path: Path, variable: str) -> list[str]:
    """The keys of a dictionary that a file holds under a name. Raises SpecError."""
    return [ast.literal_eval(key) for key in _dict(path, variable).keys if key is not None]


def _dict(path: Path, variable: str) -> ast.Dict:
    value = _bindings(path).get(variable)
    if not isinstance(value, ast.Dict):
        raise SpecError(f"{shown(path)}: holds no {variable} = {{...}}")
    return value


Binding = ast.FunctionDef | ast.ClassDef | ast.expr | tuple[ast.ImportFrom, str]
"""What a name stands for: a definition, the value of an assignment, or what it is imported as from where."""


@cache
def _bindings(path: Path) -> dict[str, Binding]:
    """What the names at the top of a file stand for when it has been run; `*` is what is imported by a star."""
    found: dict[str, Binding] = {}
    for statement in _statements(_module(path).body):
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.Assign):
            found |= {target.id: statement.value for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            found[statement.target.id] = statement.value
        elif isinstance(statement, ast.ImportFrom):
            found |= {alias.asname or alias.name: (statement, alias.name) for alias in statement.names}
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a file, also those within `if`, `try` and `with`."""
    for statement in body:
        yield statement
        for handler in statement.handlers if isinstance(statement, ast.Try) else ():
            yield from _statements(handler.body)  # first, as the body is what runs as a rule
        for inner in ("body", "orelse", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                yield from _statements(getattr(statement, inner, []))


def followed(path: Path, module: str, attribute: str, below: tuple[str, ...] = ()) -> tuple[Path, str]:
    """Where a name is defined, if the module itself only imports it (`from .network import toy`)."""
    if module in below:
        raise SpecError(f"{shown(path)}: {attribute} is imported in a circle")
    names = _bindings(path)
    found = names.get(attribute, names.get("*"))
    if not isinstance(found, tuple):
        return path, attribute
    statement, name = found
    source = absolute(statement, module, is_package=path.name == "__init__.py")
    if attribute not in names:
        raise SpecError(f"{shown(path)}: defines no '{attribute}' that can be read: it imports * from {source}; name "
                        f"the module that defines it")  # fmt: skip
    inner = f"{source}.{name}"  # `from . import network` gives a module, which is no builder
    spec = find_spec(inner)
    if spec is not None and spec.origin:
        raise SpecError(f"{shown(path)}: {attribute} is the module {inner}, not a function or class")
    return followed(module_file(source), source, name, (*below, module))


def _defined(path: Path, name: str, below: tuple[Path, ...] = ()) -> tuple[Path, str] | None:
    """The file and name under which a name at the top of a file is defined, also if the file only imports it; None
    where it cannot be found, and for names of the standard library."""
    found = _bindings(path).get(name)
    if not isinstance(found, tuple):
        return None if found is None else (path, name)
    statement, source = found
    module = statement.module or ""
    if path in below or (not statement.level and module.partition(".")[0] in sys.stdlib_module_names):
        return None
    with contextlib.suppress(SpecError, IndexError):  # no such module, or none with Python source
        if statement.level:
            inner = path.parents[statement.level - 1].joinpath(*module.split("."))
            file = inner / "__init__.py" if inner.is_dir() else inner.with_suffix(".py")
        else:
            file = module_file(module)
        return _defined(file, source, (*below, path))
    return None


def definition(
    path: Path, name: str, kind: type[ast.ClassDef | ast.FunctionDef] | None = None
) -> ast.FunctionDef | ast.ClassDef:
    """The function or class that a file defines under a name, of one `kind` alone if given. Raises SpecError."""
    kinds = (kind,) if kind else (ast.FunctionDef, ast.ClassDef)
    names = _bindings(path)
    found = names.get(name)
    wanted = "class" if kind is ast.ClassDef else "function or class"
    if isinstance(found, ast.FunctionDef | ast.ClassDef) and isinstance(found, kinds):
        return found
    if found is not None:
        raise SpecError(f"{shown(path)}: {name} is not a {wanted}")
    fitting = [other for other, statement in names.items() if isinstance(statement, kinds)]
    raise SpecError(f"{shown(path)}: {unknown(wanted, name, fitting)}")


# ---- signatures ------------------------------------------------------------------------------------------------------


@cache
def signature_of(path: Path, name: str) -> Mapping[str, Argument]:
    """The keyword arguments of a function, of a class's `__init__`, or of a dataclass: its fields. Raises SpecError."""
    found = definition(path, name)
    skip = 0
    if isinstance(found, ast.ClassDef):
        init = _init(found)
        if init is None and (fields := _fields(path, found)) is not None:
            return fields
        if init is None:
            raise SpecError(f"{shown(path)}:{found.lineno}: {name} has no __init__ of its own to read arguments from")
        found, skip = init, 1  # without self
    if found.args.vararg or found.args.kwarg:
        star, arg = ("*", found.args.vararg) if found.args.vararg else ("**", found.args.kwarg)
        raise SpecError(
            f"{shown(path)}:{found.lineno}: {name} takes {star}{arg.arg if arg else ''}, so its arguments cannot be "
            "checked; name each of them"
        )
    return _arguments(path, found, name, skip)


def _init(found: ast.ClassDef) -> ast.FunctionDef | None:
    return next((s for s in found.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None)


def _fields(path: Path, found: ast.ClassDef) -> dict[str, Argument] | None:
    """The fields of a dataclass, first those of its bases that are dataclasses too; None for another class."""
    if not any(re.match(r"(dataclasses\.)?dataclass\b", ast.unparse(one)) for one in found.decorator_list):
        return None
    fields: dict[str, Argument] = {}
    for place in (_base(path, base) for base in reversed(found.bases)):
        if place and isinstance(above := _bindings(place[0])[place[1]], ast.ClassDef):
            fields |= _fields(place[0], above) or {}
    for item in found.body:
        match item:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=default):
                if not re.search(r"\b(ClassVar|KW_ONLY)\b", ast.unparse(annotation)):
                    where = f"{shown(path)}:{item.lineno}: {found.name}.{name}"
                    hint, limits = _hint(annotation, path), _limits(annotation, path)
                    fields[name] = Argument(hint, default is None, _literal(default, where), limits)
    return fields


def _literal(default: ast.expr | None, where: str | None) -> Any:
    """The value of a default, None where there is none. What is no literal is reported at `where`, or, without it, None
    too."""
    try:
        return None if default is None else ast.literal_eval(default)
    except (ValueError, TypeError, SyntaxError, RecursionError) as error:
        if where is None:
            return None
        raise SpecError(f"{where}: the default must be a literal") from error


def _arguments(
    path: Path, function: ast.FunctionDef, name: str, skip: int, *, literal: bool = True
) -> dict[str, Argument]:
    """The named arguments of a function but for the first `skip`. Raises SpecError for one without a name to give it
    by, and, where defaults must be `literal`, for one that is not."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    if given.posonlyargs[skip:]:
        raise SpecError(
            f"{shown(path)}:{function.lineno}: {name} has arguments that cannot be given by name; remove the '/'"
        )
    defaults: list[ast.expr | None] = [*[None] * (len(positional) - len(given.defaults)), *given.defaults]
    pairs = [*zip(positional, defaults, strict=True)][skip:]
    pairs += zip(given.kwonlyargs, given.kw_defaults, strict=True)
    arguments = {}
    for item, default in pairs:
        where = f"{shown(path)}:{item.lineno}: {name}({item.arg}=...)"
        value = _literal(default, where if literal else None)
        hint, limits = _hint(item.annotation, path), _limits(item.annotation, path)
        arguments[item.arg] = Argument(hint, default is None, value, limits)
    return arguments


@cache
def class_signature(path: Path, name: str, below: tuple[tuple[Path, str], ...] = ()) -> Mapping[str, Argument] | None:
    """The arguments of a class's `__init__`, and, through `**`, of the `__init__` of its first base. `below`: the
    classes derived from it that led here."""
    found = definition(path, name, kind=ast.ClassDef)
    assert isinstance(found, ast.ClassDef)
    if (path, name) in below:
        raise SpecError(f"{shown(path)}:{found.lineno}: {name} is a base of itself")
    init = _init(found)
    own = _arguments(path, init, name, skip=1, literal=False) if init else {}
    if init is not None and init.args.kwarg is None:
        return own
    place = _base(path, found.bases[0]) if found.bases else None
    above = class_signature(*place, (*below, (path, name))) if place else None
    return None if above is None else {**above, **own}


@cache
def class_rules(path: Path, name: str, variable: str) -> Mapping[str, tuple[str, ...]]:
    """A dictionary of literals that a class has under a name, on that of its first base."""
    found = definition(path, name, kind=ast.ClassDef)
    assert isinstance(found, ast.ClassDef)
    place = _base(path, found.bases[0]) if found.bases else None
    rules = dict(class_rules(*place, variable)) if place else {}
    for statement in found.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if variable in (target.id for target in targets if isinstance(target, ast.Name)):
            where = f"{shown(path)}:{statement.lineno}: {name}.{variable}"
            try:
                own = ast.literal_eval(statement.value)
            except (ValueError, TypeError) as error:
                raise SpecError(f"{where} must be a literal") from error
            if not isinstance(own, dict) or not all(isinstance(rule, tuple) and len(rule) > 1 for rule in own.values()):
                raise SpecError(
                    f'{where} must be as {{"momentum": ("optimizer", "sgd")}}: an argument, and another with those of '
                    "its values that count"
                )
            rules |= own
    return rules


def _base(path: Path, base: ast.expr) -> tuple[Path, str] | None:
    """The file and name of a base class, given as `Base` or `module.Base`; None where it cannot be found."""
    place = None
    with contextlib.suppress(SpecError):
        if isinstance(base, ast.Name):
            place = _defined(path, base.id)
        elif isinstance(base, ast.Attribute) and (module := _module_called(path, ast.unparse(base.value))):
            place = followed(module_file(module), module, base.attr)
    return place if place and isinstance(_bindings(place[0]).get(place[1]), ast.ClassDef) else None


def _module_called(path: Path, name: str) -> str | None:
    """The full name of a module that a file calls `name`."""
    for statement in _statements(_module(path).body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if name == (alias.asname or alias.name):
                    return alias.name
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            for alias in statement.names:
                if name == (alias.asname or alias.name):
                    return f"{statement.module}.{alias.name}"
    return None


def _without_limits(node: ast.expr | None) -> tuple[ast.expr | None, dict[str, float]]:
    """An annotation without its bounds, and the bounds: those of Annotated[float, Gt(0), Le(1)] or of
    Annotated[float, Interval(ge=0, lt=1)], also beside `| None`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        left, limits = _without_limits(node.left)
        assert left is not None
        return ast.BinOp(left, node.op, node.right), limits
    is_annotated = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Annotated"
    if not (is_annotated and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple)):
        return node, {}
    hint, *bounds = node.slice.elts
    limits = {}
    for bound in bounds:
        if isinstance(bound, ast.Call) and isinstance(bound.func, ast.Name):
            with contextlib.suppress(ValueError):  # a bound that is known only when it runs
                if bound.args:
                    limits[bound.func.id.lower()] = ast.literal_eval(bound.args[0])
                limits |= {word.arg: ast.literal_eval(word.value) for word in bound.keywords if word.arg}
    return hint, {name: limit for name, limit in limits.items() if name in ("ge", "gt", "le", "lt")}


def _limits(node: ast.expr | None, path: Path, below: tuple[tuple[Path, str], ...] = ()) -> dict[str, float]:
    """The bounds of an annotation, its aliases followed to where they are defined."""
    match node:
        case ast.Constant(value=str() as text):
            with contextlib.suppress(SyntaxError):
                return _limits(ast.parse(text, mode="eval").body, path, below)
        case ast.Name(id=name) if name not in _TYPES:
            place = _defined(path, name)
            if place and place not in below and isinstance(alias := _bindings(place[0])[place[1]], ast.expr):
                return _limits(alias, place[0], (*below, place))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _limits(left, path, below) | _limits(right, path, below)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return _limits(inner, path, below)
    return _without_limits(node)[1]


def _hint(node: ast.expr | None, path: Path) -> Any:
    """The type an annotation stands for, aliases followed to where they are defined; Any for all but simple types,
    Literal, tuples, lists and unions of them."""
    try:
        return _hint_of(node, path, ())
    except (ValueError, TypeError, SyntaxError):  # Literal[A], of names that are known only when it runs; a circle
        return Any


def _hint_of(node: ast.expr | None, path: Path, below: tuple[tuple[Path, str], ...]) -> Any:
    """`below`: the aliases that led here."""

    def hint(inner: ast.expr) -> Any:
        return _hint_of(inner, path, below)

    match node:
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.Name(id=name):
            if (place := _defined(path, name)) in below:
                raise ValueError("an alias of itself")
            alias = _bindings(place[0])[place[1]] if place else None
            return _hint_of(alias, place[0], (*below, place)) if place and isinstance(alias, ast.expr) else Any
        case ast.Constant(value=None):
            return type(None)
        case ast.Constant(value=str() as text):
            return hint(ast.parse(text, mode="eval").body)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *_])):
            return hint(inner)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            sides = hint(left), hint(right)
            return Any if Any in sides else sides[0] | sides[1]
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            inside = hint(inner)
            return Any if inside is Any else inside | None
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple() | ast.Constant() as inner):
            choices = ast.literal_eval(inner)
            return Literal[choices]
        case ast.Subscript(value=ast.Name(id=name), slice=inner) if name in _SEQUENCES:
            return list[hint(inner)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="tuple" | "Tuple"), slice=ast.Tuple(elts=parts)):
            hints = tuple(... if ast.unparse(part) == "..." else hint(part) for part in parts)
            return tuple[hints]  # type: ignore[valid-type]
    return Any
