"""What builders of networks accept, read from their source with `ast`: nothing is imported, torch least of all.

A spec names a builder of the package by its short name, or any other as `package.module:name`, a function or a class
whose `__init__` takes the arguments.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_origin

from vtbench.errors import SpecError, did_you_mean
from vtbench.papers.document import Node, Problems, convert
from vtbench.papers.roots import PACKAGE, module_file, shown

FROM_DATA = ("num_classes", "num_frames", "img_size", "modalities")
"""Arguments that are filled in from the data block; a spec may not set them. The last one goes only to networks that
have it."""

_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True)
class Argument:
    """One keyword of a builder: its annotated type (Any where the annotation is not a simple one) and its default."""

    hint: Any
    required: bool
    default: Any = None


@dataclass(frozen=True)
class Builders:
    """The networks, methods, data modules and metrics that a spec can name. `package` is the folder that holds
    models/, methods/, ... (vtbench itself)."""

    package: Path = PACKAGE

    def models(self) -> Mapping[str, str]:
        """MODELS of models/__init__.py: name -> "module:function"."""
        return _names(self.package / "models" / "__init__.py", "MODELS")

    def methods(self) -> Mapping[str, str]:
        """METHODS of methods/__init__.py: name -> "module:class"."""
        return _names(self.package / "methods" / "__init__.py", "METHODS")

    def data_modules(self) -> Mapping[str, str]:
        """DATASETS of datasets/__init__.py: name -> "module:class"."""
        return _names(self.package / "datasets" / "__init__.py", "DATASETS")

    def metrics(self) -> Mapping[str, str]:
        """METRICS of evaluation/__init__.py: name -> "module:function"."""
        return _names(self.package / "evaluation" / "__init__.py", "METRICS")

    def attentions(self) -> list[str]:
        """The names in ATTENTIONS of layers/attention.py, whose growth can be counted."""
        return _keys(self.package / "layers" / "attention.py", "ATTENTIONS")

    def signature(self, name: str) -> Mapping[str, Argument]:
        """The keyword arguments of the network `name`, in order. Raises SpecError, without a place, if there is none
        of this name."""
        return self._signature(name, self.models(), "model")

    def arguments(self, name: Node, given: Mapping[str, Node], *, defaults: bool = True) -> dict[str, Any]:
        """The model arguments of a spec, each of the type that the builder wants, with its `defaults` filled in.

        Raises SpecError for an unknown builder or argument, a wrong type or choice, and a required argument left out.
        """
        signature = self.network(name)
        problems = Problems()
        known = {key: argument for key, argument in signature.items() if key not in FROM_DATA}
        arguments = {key: argument.default for key, argument in known.items()} if defaults else {}
        for key, node in given.items():
            try:  # not `with problems.collected()`: this runs for every argument of every row
                if key in FROM_DATA:
                    node.fail("is filled in from the data block; leave it out")
                if key not in known:
                    node.fail(f"{called(name.value)}() has no such argument{did_you_mean(key, known)}")
                arguments[key] = convert(node, known[key].hint)
            except SpecError as error:
                problems.add(error)
        for key, argument in known.items():
            if argument.required and key not in given:
                with problems.collected():
                    name.fail(f"{called(name.value)}() needs the argument '{key}', which is not given")
        problems.refuse()
        return arguments

    def network(self, name: Node) -> Mapping[str, Argument]:
        """The signature of the network that a spec names. Raises SpecError at that place for what is no network."""
        signature = self._at(name, lambda text: self.signature(text))
        missing = [key for key in FROM_DATA[:3] if key not in signature]
        if missing:
            name.fail(f"{called(name.value)}() does not take {' and '.join(missing)}, which the data block gives")
        return signature

    def method(self, name: Node) -> Mapping[str, Argument] | None:
        """The keyword arguments of the method that a spec names, a short name or `package.module:Class`, with those
        that its bases take through `**`; None where a base is not written in Python that can be found. Refuses what is
        no class."""
        found: Mapping[str, Argument] | None = self._at(
            name, lambda text: _class_signature(*self._place(text, self.methods(), "method"))
        )
        return found

    def check_choice(self, node: Node, argument: Argument) -> None:
        """Refuse a value that is not among the few that an argument takes, where its annotation lists them."""
        if get_origin(argument.hint) is Literal:
            convert(node, argument.hint)

    def data_module(self, name: Node) -> None:
        """Refuse what is no data module: a short name, or `package.module:Class`."""
        self._at(
            name, lambda text: _definition(*self._place(text, self.data_modules(), "data module"), kind=ast.ClassDef)
        )

    def metric(self, name: Node) -> str:
        """The key under which a metric is published: its name, without the module. Refuses what is no metric, and one
        that does not take scores, labels and the labels expected."""
        signature = self._at(name, lambda text: self._signature(text, self.metrics(), "metric"))
        if list(signature) != list(METRIC_ARGUMENTS):
            name.fail(f"{called(name.value)}() takes ({', '.join(signature)}), not ({', '.join(METRIC_ARGUMENTS)})")
        return called(name.value)

    def _at(self, name: Node, read: Callable[[str], Any]) -> Any:
        """What `read` makes of a name, and its errors at the place where the name stands."""
        if not isinstance(name.value, str):
            name.fail(f"must be a name, not {name.value!r}")
        try:
            return read(name.value)
        except SpecError as error:
            name.fail(str(error))

    def _signature(self, name: str, known: Mapping[str, str], kind: str) -> Mapping[str, Argument]:
        return _signature(*self._place(name, known, kind))

    def _place(self, name: str, known: Mapping[str, str], kind: str) -> tuple[Path, str]:
        """The file and the function or class of a name. Raises SpecError without a place."""
        if name in known:
            module, _, attribute = known[name].partition(":")
            return self.package.joinpath(*module.split(".")[1:]).with_suffix(".py"), attribute
        module, colon, attribute = name.partition(":")
        if not colon:
            hint = did_you_mean(name, known)
            own = "" if "did you mean" in hint else "; your own is named as package.module:name"
            raise SpecError(f"no {kind} is called {name!r}{hint}{own}")
        if not module or not attribute.isidentifier():
            raise SpecError(f"{name!r} must be package.module:name")
        return _followed(module_file(module), module, attribute)


METRIC_ARGUMENTS = ("scores", "labels", "expected_labels")
"""What a metric is given: scores (N, C) and labels (N,) of the videos that were scored, and by keyword the labels of
all videos that were to be tested."""


def called(name: str) -> str:
    """The function or class of a name in a spec: "toy" of "lab.networks:toy"."""
    return name.rpartition(":")[2]


# ---- reading source --------------------------------------------------------------------------------------------------


@cache
def _module(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise SpecError(f"{shown(path)}:{error.lineno}: is not Python: {error.msg}") from error
    except (OSError, ValueError) as error:
        raise SpecError(f"{shown(path)}: cannot be read for its signatures: {error}") from error


@cache
def _names(path: Path, variable: str) -> Mapping[str, str]:
    names: Mapping[str, str] = ast.literal_eval(_dict(path, variable))
    return names


@cache
def _keys(path: Path, variable: str) -> list[str]:
    return [ast.literal_eval(key) for key in _dict(path, variable).keys if key is not None]


def _dict(path: Path, variable: str) -> ast.Dict:
    value = _assigned(_module(path)).get(variable)
    if not isinstance(value, ast.Dict):
        raise SpecError(f"{shown(path)}: holds no {variable} = {{...}}")
    return value


def _assigned(module: ast.Module) -> dict[str, ast.expr]:
    values = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            values[statement.targets[0].id] = statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            values[statement.target.id] = statement.value
    return values


def _followed(path: Path, module: str, attribute: str, below: tuple[str, ...] = ()) -> tuple[Path, str]:
    """Where a name is defined, if the module itself only imports it (`from .network import toy`)."""
    if module in below:
        raise SpecError(f"{shown(path)}: {attribute} is imported in a circle")
    for statement in _module(path).body:
        for alias in statement.names if isinstance(statement, ast.ImportFrom) else ():
            if (alias.asname or alias.name) != attribute:
                continue
            assert isinstance(statement, ast.ImportFrom)
            source = statement.module or ""
            if statement.level:  # `from .network`: counted from the package that the module is in, or is
                package = module.split(".")
                package = package[: len(package) - statement.level + (path.name == "__init__.py")]
                source = ".".join([*package, *([source] if source else [])])
            return _followed(module_file(source), source, alias.name, (*below, module))
    return path, attribute


def _definition(
    path: Path, name: str, kind: type[ast.ClassDef | ast.FunctionDef] | None = None
) -> ast.FunctionDef | ast.ClassDef:
    module = _module(path)
    kinds = (kind,) if kind else (ast.FunctionDef, ast.ClassDef)
    defined = {s.name: s for s in module.body if isinstance(s, ast.FunctionDef | ast.ClassDef)}
    found = defined.get(name)
    wanted = "class" if kind is ast.ClassDef else "function or class"
    if found is None or not isinstance(found, kinds):
        if found is not None or name in _assigned(module):
            raise SpecError(f"{shown(path)}: {name} is no {wanted}")
        fitting = [other for other, statement in defined.items() if isinstance(statement, kinds)]
        raise SpecError(f"{shown(path)}: defines no {wanted} '{name}'{did_you_mean(name, fitting)}")
    return found


@cache
def _signature(path: Path, name: str) -> Mapping[str, Argument]:
    found = _definition(path, name)
    skip = 0
    if isinstance(found, ast.ClassDef):
        inits = [s for s in found.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"]
        if not inits:
            raise SpecError(f"{shown(path)}:{found.lineno}: {name} has no __init__ of its own to read arguments from")
        found, skip = inits[-1], 1  # without self
    if found.args.vararg or found.args.kwarg:
        star, arg = ("*", found.args.vararg) if found.args.vararg else ("**", found.args.kwarg)
        raise SpecError(
            f"{shown(path)}:{found.lineno}: {name} takes {star}{arg.arg if arg else ''}, so its arguments cannot be "
            "checked; name each of them"
        )
    return _arguments(path, found, name, skip)


def _arguments(
    path: Path, function: ast.FunctionDef, name: str, skip: int, *, literal: bool = True
) -> dict[str, Argument]:
    """The named arguments of a function but for the first `skip`. Raises SpecError for one without a name to give it
    by, and, where defaults must be `literal`, for one that is not."""
    given, aliases = function.args, _assigned(_module(path))
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
        value = None
        if default is not None:
            try:
                value = ast.literal_eval(default)
            except ValueError as error:
                if literal:
                    raise SpecError(
                        f"{shown(path)}:{item.lineno}: {name}({item.arg}=...): the default must be a literal"
                    ) from error
        arguments[item.arg] = Argument(_hint(item.annotation, aliases), default is None, value)
    return arguments


@cache
def _class_signature(path: Path, name: str) -> Mapping[str, Argument] | None:
    """The arguments of a class's `__init__`, and, through `**`, of the `__init__` of its first base."""
    found = _definition(path, name, kind=ast.ClassDef)
    assert isinstance(found, ast.ClassDef)
    init = next((s for s in found.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None)
    own = _arguments(path, init, name, skip=1, literal=False) if init else {}
    if init is not None and init.args.kwarg is None:
        return own
    base = found.bases[0] if found.bases else None
    place = _imported(path, base.id) if isinstance(base, ast.Name) else None
    above = _class_signature(*place) if place else None
    return None if above is None else {**above, **own}


def _imported(path: Path, name: str) -> tuple[Path, str] | None:
    """Where a name that a file uses is defined: there, or in a module that it is imported from by its full name."""
    for statement in _module(path).body:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return path, name
        if isinstance(statement, ast.ImportFrom) and statement.level == 0:
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    try:
                        return _followed(module_file(statement.module or ""), statement.module or "", alias.name)
                    except SpecError:
                        return None
    return None


def _hint(node: ast.expr | None, aliases: Mapping[str, ast.expr]) -> Any:
    """The type an annotation stands for; Any for all but simple types, Literal, tuple and unions."""
    match node:
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.Name(id=name) if name in aliases:
            return _hint(aliases[name], {})
        case ast.Constant(value=None):
            return type(None)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            sides = _hint(left, aliases), _hint(right, aliases)
            return Any if Any in sides else sides[0] | sides[1]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple() | ast.Constant() as inner):
            choices = ast.literal_eval(inner)
            return Literal[choices]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=parts)):
            return tuple[tuple(_hint(part, aliases) if not _dots(part) else ... for part in parts)]  # type: ignore[misc]
    return Any


def _dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
