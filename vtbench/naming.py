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
    own = [frame for frame in frames if not frame.filename.startswith((sys.prefix, sys.base_prefix))] or frames
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"importing {module} raised {in_one_line(error)}{where}; repair the module"


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
        frames = traceback.extract_tb(raised.__traceback__)
        own = [frame for frame in frames[1:] if not frame.filename.startswith((sys.prefix, sys.base_prefix))]
        where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
        raise error(f"{what} {name}: {in_one_line(raised)}{where}; {remedy}") from raised
