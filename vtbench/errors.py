"""User-fixable errors, as one exception tree.

    VtbenchError            one clear line for the terminal, and the exit code that goes with it
    |- UsageError           a selector or an option that names nothing (exit 2)
    |- SpecError            a file in benchmarks/ or data_manifests/, or vtbench.yaml, that breaks its schema (exit 2)
    |- DataError            a data folder or a manifest: missing, empty, misnamed lines (exit 2)
    |- WeightsError         a checkpoint that is unreadable or of another network (exit 2)
    |- VideoError           one video that cannot be read (exit 1)
    |- ResultsError         the results folder: unwritable, full, a broken or older results.csv (exit 1)
    `- RunError             a training or evaluation that failed (exit 1)

Messages name the file (and row, line or key) first and end with the remedy. `assert` is kept for our own mistakes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

MOST_LISTED = 30
"""How many known names a message lists."""


class VtbenchError(Exception):
    """Base of all errors that end a command with one line instead of a traceback."""

    exit_code = 1


class UsageError(VtbenchError):
    """A selector, option or setting that names nothing."""

    exit_code = 2


class SpecError(VtbenchError):
    """A YAML file that breaks its schema; the message starts with `file:line: key`.

    `others` are further problems that the same reading found, one line each.
    """

    exit_code = 2

    def __init__(self, message: str, others: Iterable[str] = ()) -> None:
        self.others = tuple(others)
        super().__init__(message)

    @property
    def problems(self) -> tuple[str, ...]:
        """Every problem found, this one first."""
        return (str(self), *self.others)

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, tuple[str, ...]]]:
        return type(self), (str(self), self.others)


class DataError(VtbenchError):
    """A data folder or manifest that cannot be used as it is."""

    exit_code = 2


class WeightsError(VtbenchError):
    """A checkpoint that cannot be read, or that belongs to another network."""

    exit_code = 2


class VideoError(VtbenchError):
    """One video that cannot be read whole.

    `path` is the file, `reason` says what is wrong with it, `frames_decoded` counts the frames that did come out; the
    message names them where there are any.
    """

    def __init__(self, path: str | Path, reason: str, frames_decoded: int = 0) -> None:
        self.path = Path(path)
        self.reason = reason
        self.frames_decoded = frames_decoded
        decoded = f" ({frames_decoded} frame{'' if frames_decoded == 1 else 's'} decoded)" if frames_decoded else ""
        super().__init__(f"{path}: {reason}{decoded}")

    def __reduce__(self) -> tuple[type[VideoError], tuple[Path, str, int]]:
        # The default pickles the message as the only argument, which would break errors raised in a worker process.
        return type(self), (self.path, self.reason, self.frames_decoded)


class ResultsError(VtbenchError):
    """The results folder cannot be read or written."""


class RunError(VtbenchError):
    """A training or an evaluation that failed."""


HIDDEN = re.compile(r"(?![\n\t])[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that move the cursor of a terminal, or turn the direction of what is written behind them."""
LONGEST_WORD, LONGEST_LINE = 400, 4000
"""Characters of a word (a path, a cell) and of a message that are printed whole."""


def printable(text: str) -> str:
    """`text` as one line for a terminal: blanks for line breaks, escapes for what would move the cursor, ring or turn
    the direction of writing. Of words and texts that are far too long only both ends."""
    words = (_shortened(escaped(word), LONGEST_WORD) for word in text.split())
    return _shortened(" ".join(words), LONGEST_LINE)


def escaped(text: str) -> str:
    """`text` with escapes (`\\x1b`, `\\n`) in place of control characters and of marks that nobody sees. Letters of
    every script stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _shortened(text: str, most: int) -> str:
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}...({len(text) - 2 * half} more)...{text[-half:]}"


def first_line(error: BaseException) -> str:
    """The first line of what an error that is not ours says, or its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def in_one_line(error: BaseException) -> str:
    """Kind and first line of an error that is not ours: "ValueError: 3 heads do not divide 64"."""
    message = first_line(error)
    return message if message == type(error).__name__ else f"{type(error).__name__}: {message}"


def few(names: Iterable[str], between: str = ", ", most: int = 3) -> str:
    """The first of some names, and "..." if there are more."""
    listed = list(names)
    return between.join([*listed[:most], *(["..."] if len(listed) > most else [])])


def did_you_mean(name: object, known: Iterable[object], before: str = "") -> str:
    """`"; did you mean 'x'?"` for the nearest of the known names, "" when none is near. `before` is what the nearest
    one is to be written behind ("msca/table1:"), so that it can be pasted."""
    names = [text for text in known if isinstance(text, str)]
    same = [text for text in names if text.lower() == str(name).lower()]
    near = same or difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f"; did you mean '{before}{near[0]}'?" if near else ""


def unknown(kind: str, name: object, known: Iterable[str], *, of: str = "", before: str = "") -> str:
    """The message for a name that is looked up and not there: "no model 'mcsa'; did you mean 'msca'?". The known
    names are listed when none is near, up to MOST_LISTED of them.

    - kind: what should have the name
    - of: what should have something of this name: "msca() has no argument 'deph'; did you mean 'depth'?"
    - before: what the names are to be written behind: "no row 'msca/table1:vti'; did you mean 'msca/table1:vit'?"
    """
    known = list(known)
    has = f"{of} has no" if of else "no"
    listed = f"; known: {', '.join(known)}" if 0 < len(known) <= MOST_LISTED else ""
    return f"{has} {kind} '{before}{name}'{did_you_mean(name, known, before) or listed}"
