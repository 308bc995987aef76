"""What holds while Lightning runs one training or one evaluation: its notices, errors as one line, the environment."""

from __future__ import annotations

import contextlib
import logging
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vtbench.cost.passes import is_out_of_memory
from vtbench.errors import RunError, VtbenchError, in_one_line
from vtbench.results import folders, provenance
from vtbench.run.settings import LESS_MEMORY


def environment(*, gpu: bool) -> dict[str, Any]:
    """Commit, versions, device and CPU threads of this process, under the names that results.csv uses.

    `gpu`: whether it computes on its GPU; the small scales do not where there is one."""
    device = torch.cuda.get_device_name() if gpu else "cpu"
    return {**provenance.software(), "device": device, "threads": torch.get_num_threads()}


@contextlib.contextmanager
def errors_in_one_line(folder: Path | None) -> Iterator[None]:
    """Keep notices of Lightning and torch out of the display; report an unexpected error as one line, with its
    traceback in folders.ERROR of the folder until the same succeeds; without a folder, as what it was raised from.
    Ctrl-C and SIGTERM come out as KeyboardInterrupt."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning(\.|$)")
            warnings.filterwarnings(
                "ignore",
                message=r".*(does not have many workers|LeafSpec|GPU available but not used|create .* worker"
                r"|Grad strides do not match).*",
            )
            yield
        if folder is not None:
            (folder / folders.ERROR).unlink(missing_ok=True)
    except VtbenchError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, SIGTERMException) or _is_ctrl_c(error):
            raise KeyboardInterrupt from None
        # What torch.compile raises says only that it did; what it wraps says why.
        said = in_one_line(getattr(error, "inner_exception", error))
        if _is_of_memory(error):
            said += f"; {LESS_MEMORY}"
        if folder is None:
            raise RunError(said) from error
        log = folder / folders.ERROR
        with contextlib.suppress(OSError):
            log.write_text(traceback.format_exc())
        raise RunError(f"{folder}: {said} (traceback in {log})") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether it is the SystemExit that Lightning makes of Ctrl-C, not one of the code that ran."""
    return isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)


def _is_of_memory(error: BaseException) -> bool:
    """Whether memory was short; of a process that reads videos and was killed, that is the likely reason."""
    return is_out_of_memory(error) or "is killed by signal: Killed" in str(error)
