"""The login to Weights & Biases, and runs that write nothing on the terminal."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vtbench.errors import RunError, UsageError, first_line
from vtbench.report.wandb.target import Target, wandb_folder

LONGEST_TAG = 64
"""Characters that W&B takes."""

SENT_WITHIN = 600.0
"""Seconds that are waited for, at the end of a run, until everything it holds was sent."""


def require_login(target: Target, instead: str = "log offline and push later with `vtbench wandb sync`") -> None:
    """Raise UsageError, before anything is trained or sent, where an online target cannot be used: there is no login,
    it is not valid, or the server does not answer. `instead` is what works without a login, for the message."""
    if target.mode == "offline":
        return
    if (mode := os.environ.get("WANDB_MODE", "online")) not in ("online", "run", "shared"):
        raise UsageError(f"W&B (online) is asked for, and WANDB_MODE is {mode}; unset it, or log offline")
    import wandb

    remedy = f"log in with `wandb login` or set WANDB_API_KEY, or {instead}"
    try:
        with quiet():
            found = wandb.login(prompt=False, verify=True)
    except Exception as error:
        raise UsageError(f"W&B (online) cannot be used: {first_line(error).rstrip('.')}; {remedy}") from error
    if not found:
        raise UsageError(f"W&B (online) has no login: {remedy}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what wandb prints off the terminal; errors still come as exceptions."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def open_run(target: Target, folder: Path, **run: Any) -> Iterator[Any]:
    """`start_run`, finished at the end of the block. Raises RunError for anything that wandb raises in it."""
    with _staged_in(wandb_folder(folder)):
        started = start_run(target, folder, **run)
        try:
            yield started
            started.finish()
        except Exception as error:
            with contextlib.suppress(Exception):
                started.finish(exit_code=1)
            raise RunError(f"W&B {target.title}: {first_line(error)}") from error


@contextlib.contextmanager
def _staged_in(folder: Path) -> Iterator[None]:
    """Have wandb keep what it stages of artifacts in a folder, in place of one below the home folder: an offline run
    needs it until it is sent. A WANDB_DATA_DIR of the user's stays."""
    if os.environ.get("WANDB_DATA_DIR"):
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(folder.resolve())  # wandb has no other way to say it
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]


def start_run(target: Target, folder: Path, *, tags: list[str], **run: Any) -> Any:
    """The W&B run with these arguments of `wandb.init`, continued where it is there already; its files lie in
    `folder`/wandb.

    Its `finish` raises TimeoutError where the server takes too long. Raises RunError where none can start.
    """
    try:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        # vtbench draws its own progress and records the commit itself.
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            finish_timeout=SENT_WITHIN,
            finish_timeout_raises=True,
        )
        return wandb.init(
            project=target.project,
            entity=target.entity,
            dir=folder,
            mode=target.mode,
            resume="allow",
            reinit="create_new",
            settings=settings,
            tags=list(dict.fromkeys(tag[:LONGEST_TAG] for tag in (*tags, *target.tags))),
            **run,
        )
    except Exception as error:
        raise RunError(f"W&B {target.title} cannot start a run: {first_line(error)}") from error


def default_entity() -> str:
    """The user or team that runs of the login go to. Raises RunError where the server does not say."""
    import wandb

    try:
        with quiet():
            return str(wandb.Api().default_entity)
    except Exception as error:
        raise RunError(f"W&B does not say whose login this is: {first_line(error)}; give --wandb-entity") from error
