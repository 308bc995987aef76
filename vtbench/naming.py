"""From a name in a spec to the object: a short name of the package, or `package.module:name`.

What such a name of the user's leads to may raise anything; `guarded` makes one line of it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from vtbench.errors import SpecError, UsageError, VtbenchError, in_one_line, unknown


def load(name: str, known: Mapping[str, str], kind: str) -> Any:
    """What `name` stands for: a key of `known` (name -> `module:attribute`), or `package.module:attribute` itself.

    kind: what it should be, for messages. Raises UsageError for an unknown name, and for a module that cannot be
    imported, with the file and line at fault.
    """
    place = known.get(name, name)
    module_name, colon, attribute = place.partition(":")
    if not colon:
        raise UsageError(unknown(kind, name, known))
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a module of the user's does while it is imported, sys.exit() included
        if name in known:
            raise
        raise UsageError(f"{kind} {name}: {_what_failed(module_name, error)}") from error
    if not hasattr(module, attribute):
        names = [other for other in vars(module) if not other.startswith("_")]
        raise UsageError(f"{kind} {name}: {unknown('name', attribute, names, of=module_name)}")
    return getattr(module, attribute)


def _what_failed(module: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and (module + ".").startswith(error.name + "."):
        return f"no module '{error.name}'; add its folder with --include DIR, or install it"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename][1:]
    return f"importing {module} raised {in_one_line(error)}{_at(_own(frames) or frames)}; repair the module"


def _own(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """Those in code of the user's: neither Python's nor an installed package's."""
    return [frame for frame in frames if not frame.filename.startswith((sys.prefix, sys.base_prefix))]


def _at(frames: list[traceback.FrameSummary]) -> str:
    """The innermost frame as " (file:line)"; nothing without one."""
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


@contextlib.contextmanager
def guarded(name: str, what: str, remedy: str, error: type[VtbenchError] = SpecError) -> Iterator[None]:
    """Run what a name leads to. Whatever a name of the user's (`package.module:name`) raises, sys.exit() included,
    becomes one line: `what`, the name, the error and the `remedy`. Names of vtbench raise as they are."""
    try:
        yield
    except (VtbenchError, KeyboardInterrupt):
        raise
    except BaseException as raised:
        if ":" not in name:
            raise
        where = _at(_own(traceback.extract_tb(raised.__traceback__)[1:]))
        raise error(f"{what} {name}: {in_one_line(raised)}{where}; {remedy}") from raised
