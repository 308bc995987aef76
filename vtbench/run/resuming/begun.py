"""What a training run is begun with and must keep: its batch, its videos, the weights that it starts from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtbench.errors import RunError


@dataclass(frozen=True)
class Begun:
    """Plain values; a checkpoint keeps them.

    Between two epochs a run may continue with other forward passes, on another number of devices for example, while
    updates, epochs and batch norms see as many clips as before. Inside an epoch the passes must be the same too.
    """

    data_fingerprint: str
    """Of the training videos."""
    batch_size: int
    """Clips per forward pass of each process."""
    accumulate: int = 1
    """Forward passes of each process per update."""
    processes: int = 1
    lr: float = 0.0
    """At the start."""
    clips: int = 0
    """Of an epoch, all processes together."""
    updates: int = 0
    """Of an epoch."""
    norm_clips: int | None = None
    """Clips that a batch norm sees at a time; None for a network without."""
    start_sha256: str | None = None
    """Of the file of weights that the run starts from."""
    audio_sha256: str | None = None
    """Of the file of weights of the audio encoder, which is in no checkpoint."""
    options: dict[str, str | None] = field(default_factory=dict)
    """What of the command makes the passes: option -> value; None for one that is not given."""

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return dataclasses.asdict(self)

    def refuse_other(self, before: Mapping[str, Any], folder: Path, *, inside: bool) -> None:
        """Raise RunError for a run that was begun with something else, naming both.

        - before: `state` of the process before; what it does not have, as those of older versions, is not compared
        - inside: whether that was interrupted inside an epoch
        """
        then = dataclasses.replace(self, **{name: before[name] for name in self.state() if name in before})
        if then.data_fingerprint != self.data_fingerprint:
            raise RunError(
                f"{folder}: was started with other training videos (fingerprint {then.data_fingerprint}, now "
                f"{self.data_fingerprint}); bring them back, or remove the folder to start over"
            )
        for what, old, new in (
            ("weights to start from", then.start_sha256, self.start_sha256),
            ("weights of the audio encoder", then.audio_sha256, self.audio_sha256),
        ):
            if old != new:
                raise RunError(
                    f"{folder}: was begun with other {what} (SHA-256 {_short(old)}, now {_short(new)}); bring that "
                    "file back, or remove the folder to start over"
                )
        if "accumulate" not in before and then.batch_size != self.batch_size:  # of an older version
            raise RunError(
                f"{folder}: was begun with {then.batch_size} clips a pass, now they are {self.batch_size}: continue "
                f"with --batch-size {then.batch_size}, or remove the folder to start over"
            )
        if why := self._other_batch(then, inside):
            raise RunError(f"{folder}: was {why}: {self._remedy(then)}, or remove the folder to start over")

    def _other_batch(self, then: Begun, inside: bool) -> str | None:
        """How the batch differs from what it was `then`; None where the numbers do not depend on what differs."""
        if then._effective != self._effective or not math.isclose(then.lr, self.lr):
            return (
                f"begun with {then._effective} clips per update at a rate of {then.lr:g} ({then._passes}), now they "
                f"are {self._effective} at {self.lr:g} ({self._passes})"
            )
        if inside and (then.batch_size, then.processes) != (self.batch_size, self.processes):
            return f"interrupted inside an epoch of {then._passes}, now they are {self._passes}"
        if (then.clips, then.updates) != (self.clips, self.updates):
            return (
                f"begun with {then.clips} clips and {then.updates} updates an epoch ({then._passes}), now they are "
                f"{self.clips} and {self.updates} ({self._passes})"
            )
        if then.norm_clips != self.norm_clips:
            return f"begun with {then.norm_clips} clips to a batch norm, now they are {self.norm_clips}"
        return None

    @property
    def _effective(self) -> int:
        return self.batch_size * self.accumulate * self.processes

    @property
    def _passes(self) -> str:
        devices = f"{self.processes} device{'s' if self.processes > 1 else ''}"
        return f"{self.batch_size} clips a pass x {self.accumulate} x {devices}"

    def _remedy(self, then: Begun) -> str:
        """The options with which this command does what that one did."""
        other = {name: value for name, value in then.options.items() if value != self.options.get(name)}
        given = [f"{name} {value}" for name, value in other.items() if value is not None]
        parts = [f"with {' '.join(given)}"] if given else []
        if left := [name for name, value in other.items() if value is None]:
            parts.append(f"without {' and '.join(left)}")
        return f"continue {' and '.join(parts)}" if parts else f"continue with {then._passes}"


def _short(sha256: str | None) -> str:
    return f"{sha256[:12]}..." if sha256 else "none"
