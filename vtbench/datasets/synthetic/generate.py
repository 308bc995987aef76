"""Writing the synthetic sets: real encoded files whose labels are known by construction.

What is drawn is in the file called as the set; how sets are written and found is the same for all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtbench.datasets.synthetic import bits, cycle, events, stills
from vtbench.errors import DataError, unknown
from vtbench.processes import locks

__all__ = ["CLASSES", "FLIP_LABELS", "SETS", "SyntheticSet", "default_root", "generate", "refuse_unusable"]


@dataclass(frozen=True)
class SyntheticSet:
    """One kind of synthetic set: its classes, what mirroring makes of a label, and how a random video of a class is
    written, as write(path, label, rng)."""

    classes: Sequence[str]
    flip_labels: Mapping[int, int]
    write: Callable[[Path, int, np.random.Generator], None]


def _bits(silent: bool) -> SyntheticSet:
    return SyntheticSet(
        bits.classes(silent=silent),
        bits.flip_labels(silent=silent),
        lambda path, label, rng: bits.write_video(path, label, rng, silent=silent),
    )


SETS: dict[str, SyntheticSet] = {
    "cycle": SyntheticSet(cycle.CLASSES, cycle.FLIP_LABELS, cycle.write_video),
    "events": SyntheticSet(events.CLASSES, events.FLIP_LABELS, events.write_video),
    "stills": SyntheticSet(stills.CLASSES, stills.FLIP_LABELS, stills.write_video),
    "bits": _bits(silent=False),
    "silent_bits": _bits(silent=True),
}
CLASSES = {name: tuple(made.classes) for name, made in SETS.items()}
FLIP_LABELS = {name: dict(made.flip_labels) for name, made in SETS.items()}

_SPLITS = {"train": "train.csv", "validation": "validation.csv"}
_MARKER = "generated.json"
_VERSION = 1  # raise it whenever generated pixels change, so that old folders are not taken for new ones


def _settings(name: str, num_train: int, num_test: int, seed: int) -> dict[str, Any]:
    return {"name": name, "num_train": num_train, "num_test": num_test, "seed": seed, "version": _VERSION}


def default_root(name: str, *, num_train: int, num_test: int, seed: int = 0) -> Path:
    """`data/<name>-<hash of the settings>`: sets with other settings never share a folder. `name` may be that of a set
    of the user's."""
    settings = json.dumps(_settings(name, num_train, num_test, seed), sort_keys=True)
    return Path("data") / f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


def generate(root: str | Path, name: str, *, num_train: int, num_test: int, seed: int = 0) -> Path:
    """Write the set `name` (one of SETS) under `root`, unless it is there already; returns `root`.

    root/train.csv and root/validation.csv (path,label) list root/train/*.mp4 and root/validation/*.mp4; labels take
    turns, everything else is drawn from (seed, split, number of the video), so a shorter set is the beginning of a
    longer one. The folder appears under its name only when it is complete; a generation that was cut off starts again,
    and of several processes one generates while the others wait.

    Raises DataError if `root` holds anything else, or the set with other settings, or cannot be written.
    """
    if name not in SETS:
        raise DataError(unknown("synthetic set", name, SETS))
    if min(num_train, num_test) < 1:
        raise DataError(
            f"synthetic set '{name}': {num_train} training and {num_test} test videos asked; at least 1 each"
        )
    root, settings = Path(root), _settings(name, num_train, num_test, seed)
    refuse_unusable(root, name, num_train=num_train, num_test=num_test, seed=seed)
    if _is_complete(root, settings):
        return root
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with locks.hold(root.parent / f".{root.name}.lock"):
            if _is_complete(root, settings):
                return root
            part = root.parent / f".{root.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            for split, (folder, manifest) in enumerate(_SPLITS.items()):
                (part / folder).mkdir(parents=True)
                lines = ["path,label"]
                for number in range((num_train, num_test)[split]):
                    rng = np.random.default_rng([seed, split, number])
                    label = number % len(SETS[name].classes)
                    SETS[name].write(part / folder / f"{number:05d}.mp4", label, rng)
                    lines.append(f"{folder}/{number:05d}.mp4,{label}")
                (part / manifest).write_text("\n".join(lines) + "\n")
            (part / _MARKER).write_text(json.dumps(settings, sort_keys=True) + "\n")
            part.rename(root)
    except OSError as error:
        raise DataError(
            f"{root}: cannot write the synthetic set '{name}': {error}; free space there or choose a writable folder "
            f"(--data {name}=PATH)"
        ) from error
    return root


def refuse_unusable(root: Path, name: str, *, num_train: int, num_test: int, seed: int = 0) -> None:
    """Raise DataError, with the option to give, if `generate` could not use `root` for this set: it is a file, holds
    anything else, or cannot be written."""
    first = next(folder for folder in (root.absolute(), *root.absolute().parents) if os.path.lexists(folder))
    if not first.is_dir():
        raise DataError(
            f"{first}: is no folder, so the synthetic set '{name}' cannot be written to {root}; {_another(name)}"
        )
    if not _is_complete(root, _settings(name, num_train, num_test, seed)):
        # The set is written beside its folder first.
        written = first.parent if first == root.absolute() else first
        if not os.access(written, os.W_OK | os.X_OK):
            raise DataError(
                f"{written}: is not writable, and the synthetic set '{name}' goes to {root}; {_another(name)}"
            )


def _another(name: str) -> str:
    return f"choose another folder (--data {name}=PATH)"


def _is_complete(root: Path, settings: dict[str, Any]) -> bool:
    """Whether `root` holds the asked set; False if there is nothing; DataError if there is something else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / _MARKER).read_text())
    except (OSError, ValueError, RecursionError):
        found = None
    if found is None:
        raise DataError(f"{root}: holds something else than {settings}; {_another(settings['name'])}")
    if found != settings:
        raise DataError(f"{root}: holds the set {found}, not {settings}; {_another(settings['name'])} or remove it")
    return True
