"""What the builders in vtbench/models accept, read from their source with `ast`, so without importing torch."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vtbench.errors import SpecError, did_you_mean
from vtbench.spec.document import Node, convert
from vtbench.spec.locate import PACKAGE, shown

FROM_DATA = ("num_classes", "num_frames", "img_size", "modalities")
"""Arguments that the runner fills from the data block; a spec may not set them. The last one goes only to networks that
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
    """The networks that a spec can name. `package` is the folder that holds models/ and methods/ (vtbench itself)."""

    package: Path = PACKAGE

    def models(self) -> Mapping[str, str]:
        """MODELS of models/__init__.py: name -> "module:function"."""
        return _names(self.package / "models" / "__init__.py", "MODELS")

    def methods(self) -> Mapping[str, str]:
        """METHODS of methods/__init__.py: name -> "module:class"."""
        return _names(self.package / "methods" / "__init__.py", "METHODS")

    def signature(self, name: str) -> Mapping[str, Argument]:
        """The keyword arguments of the builder `name`, in order."""
        module, function = self.models()[name].split(":")
        return _signature(self.package.joinpath(*module.split(".")[1:]).with_suffix(".py"), function)

    def arguments(self, name: Node, given: Mapping[str, Node]) -> dict[str, Any]:
        """The model arguments of a spec with the builder's defaults filled in, each of the type that the builder wants.

        Raises SpecError for an unknown builder or argument, a wrong type or choice, and a required argument left out.
        """
        known = self.models()
        if name.value not in known:
            name.fail(f"no model is called {name.value!r}{did_you_mean(str(name.value), known)}")
        signature = {key: arg for key, arg in self.signature(name.value).items() if key not in FROM_DATA}
        for key, node in given.items():
            if key in FROM_DATA:
                node.fail("is filled in from the data block; leave it out")
            if key not in signature:
                node.fail(f"{name.value}() has no such argument{did_you_mean(key, signature)}")
        for key, argument in signature.items():
            if argument.required and key not in given:
                name.fail(f"{name.value}() needs the argument '{key}', which is not given")
        return {
            key: convert(given[key], argument.hint) if key in given else argument.default
            for key, argument in signature.items()
        }


@cache
def _module(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise SpecError(f"{shown(path)}: cannot be read for its signatures: {error}") from error


@cache
def _names(path: Path, variable: str) -> Mapping[str, str]:
    value = _assigned(_module(path)).get(variable)
    if not isinstance(value, ast.Dict):
        raise SpecError(f"{shown(path)}: holds no {variable} = {{...}}")
    names: Mapping[str, str] = ast.literal_eval(value)
    return names


def _assigned(module: ast.Module) -> dict[str, ast.expr]:
    values = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            values[statement.targets[0].id] = statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            values[statement.target.id] = statement.value
    return values


@cache
def _signature(path: Path, function: str) -> Mapping[str, Argument]:
    module = _module(path)
    aliases = _assigned(module)
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == function:
            arguments = {}
            for item, default in zip(statement.args.kwonlyargs, statement.args.kw_defaults, strict=True):
                value = None
                if default is not None:
                    try:
                        value = ast.literal_eval(default)
                    except ValueError as error:
                        raise SpecError(
                            f"{shown(path)}:{item.lineno}: {function}({item.arg}=...): the default must be a literal"
                        ) from error
                arguments[item.arg] = Argument(_hint(item.annotation, aliases), default is None, value)
            return arguments
    raise SpecError(f"{shown(path)}: has no function {function}(), which MODELS names")


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
