"""done.json of a run folder, read with its keys checked, and what is done about files of ours that are damaged.

A run that finds one sets it aside under a name of its own, says so, and repeats what it lacks then.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from vtbench.errors import ResultsError
from vtbench.files import free_name, regular
from vtbench.results import folders

Kinds = dict[str, tuple[type, ...]]

TRAINING: Kinds = {
    "training_key": (str,),
    "epochs": (int,),
    "batch_size": (int,),
    "accumulate": (int,),
    "lr": (int, float),
    "weights_sha256": (str,),
}
EVALUATION: Kinds = {
    **dict.fromkeys(("evaluation_key", "training_key", "weights_sha256", "data_fingerprint"), (str,)),
    **dict.fromkeys(("videos_expected", "videos_decoded", "videos_failed", "views", "threads"), (int,)),
    **dict.fromkeys(("device", "versions", "finished_at"), (str,)),
    "metrics": (dict,),
    "wall_s": (int, float),
    "commit": (str, type(None)),
    "dirty": (bool, type(None)),
}
"""The keys that no version left out, and what they hold."""


def read_done(folder: Path) -> dict[str, Any]:
    """done.json of a run folder. Raises ResultsError for one that is missing, damaged or of another run."""
    path = folder / folders.DONE
    try:
        return _checked(path)
    except ValueError as error:
        raise ResultsError(f"{path}: {error}; {repeats(folder)}") from None


def repeats(folder: Path) -> str:
    """What is to be done about a run folder that is damaged."""
    if re.search(r"\.\d+$", folder.name):
        return f"remove {folder}, which was set aside"
    if folder.name.count("-") > 1:
        return f"remove {folder}, and test the weights with `vtbench eval` again"
    again = "--again" if folder.name.startswith("train-") else "--test-again"
    return f"`vtbench run` of its row with {again} repeats it"


def is_done(folder: Path) -> bool:
    """Whether the run in this folder finished, and its done.json can be read."""
    try:
        _checked(folder / folders.DONE)
    except ValueError:
        return False
    return True


def finished_at(folder: Path) -> str | None:
    """When the test in this folder ended, as a line of results.csv says it; None where there is none that did."""
    try:
        when: str = _checked(folder / folders.DONE)["finished_at"]
    except ValueError:
        return None
    return when


def is_trained(folder: Path) -> bool:
    """Whether the training in this folder finished and its weights are still there, whole by their size."""
    return is_done(folder) and is_whole(folder / folders.WEIGHTS)


def _checked(path: Path) -> dict[str, Any]:
    """The content of a done.json. Raises ValueError saying what is wrong with it."""
    try:
        content = json.loads(regular(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # also of bytes that are no text, or nested by the thousand
        raise ValueError(f"is damaged ({error})") from None
    kind, _, key = re.sub(r"\.\d+$", "", path.parent.name).partition("-")
    wanted, name = (TRAINING, "training_key") if kind == "train" else (EVALUATION, "evaluation_key")
    if not isinstance(content, dict):
        raise ValueError(f"is damaged (it holds {type(content).__name__}, not what a run writes)")
    for one, types in wanted.items():
        if one not in content or type(content[one]) not in types:
            raise ValueError(f"is damaged (it has no {one})")
    numbers = {one: value for one, value in content.items() if type(value) in (int, float)}
    for one, value in (numbers | (content["metrics"] if "metrics" in wanted else {})).items():
        if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
            raise ValueError(f"is damaged (its {one} is {value!r:.40}, not a finite number)")
    if content[name] != key:
        raise ValueError(f"belongs to another run ({name} {content[name]})")
    return content


def is_half_repeated(trained: Path, tested: Path) -> bool:
    """Whether a training or test that was done already is being repeated, and was interrupted in that: what was there
    has been set aside, and the repeated one is not done."""
    if not trained.exists():
        return False
    begun = ((trained, is_trained), (tested, is_done))
    return any(folders.has_one_aside(folder) and not is_over(folder) for folder, is_over in begun)


def is_whole(weights: Path) -> bool:
    """Whether a safetensors file is as long as its head says."""
    try:
        with regular(weights).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            if not 0 < length <= size - 8:
                return False
            tensors = json.loads(file.read(length))
        ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
        return size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return False


def remove_leftovers(folder: Path) -> None:
    """Remove from the folder of a finished run what only an unfinished one needs: a process that is killed in the last
    moment of a run leaves it there."""
    if is_done(folder):
        for name in (folders.CHECKPOINT, folders.BEST, folders.SCORES_PART, folders.NOTES_PART):
            for path in folder.glob(name.format("*")):
                path.unlink(missing_ok=True)


# ---- damaged files ---------------------------------------------------------------------------------------------------


def clear_training(folder: Path) -> list[str]:
    """Set aside what is damaged of a finished training, so that it is repeated; a line for each file. Its done.json
    goes where its weights go: it would say of a training at work that it is finished, with the hash of others."""
    said, weights, done = _clear_done(folder), folder / folders.WEIGHTS, folder / folders.DONE
    if os.path.lexists(weights) and not is_whole(weights):
        said.append(set_damaged_aside(weights, "it is not as long as its head says"))
    if os.path.lexists(done) and not os.path.lexists(weights):
        why = f"its {folders.WEIGHTS} is damaged" if said else f"its {folders.WEIGHTS} is gone"
        said.append(set_damaged_aside(done, why))
    return said


def clear_evaluation(folder: Path) -> list[str]:
    """The same of a finished test."""
    return _clear_done(folder)


def _clear_done(folder: Path) -> list[str]:
    path = folder / folders.DONE
    if not os.path.lexists(path):
        return []
    try:
        _checked(path)
    except ValueError as error:
        return [set_damaged_aside(path, str(error))]
    return []


def set_damaged_aside(path: Path, why: str) -> str:
    """Rename a file to one that nobody reads; gives a line on it. Raises ResultsError if it cannot be renamed."""
    aside = free_name(path, ".damaged-")
    try:
        path.rename(aside)
    except OSError as error:
        raise folders.cannot_write(path, error) from error
    return f"{path}: {why}; it is {aside.name} now, and what it was for is repeated"
