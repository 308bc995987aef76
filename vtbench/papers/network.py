"""What a row's network is built from: its name and every argument of its builder, and a hash of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vtbench.papers.code.outside import code_behind
from vtbench.papers.datasets import load_dataset
from vtbench.papers.keys import digest
from vtbench.papers.spec.recipe import Data, Model


@dataclass(frozen=True)
class Network:
    """A network before it is built. Hashable: rows that share it are counted, and measured, once."""

    name: str
    """Of vtbench.models.MODELS, or package.module:builder."""
    arguments: tuple[tuple[str, Any], ...]
    """Every argument of the builder, sorted by name."""
    code: str | None = None
    """Hash of the user's modules that build it; None for a network of vtbench."""

    def __hash__(self) -> int:
        return hash(self.key)  # arguments may be lists and dicts

    @classmethod
    def of(cls, data: Data, model: Model) -> Network:
        """The network of a data and a model block: the spec's arguments, and those that follow from the data."""
        arguments = {
            "num_classes": load_dataset(data.dataset).num_classes,
            "num_frames": data.num_frames,
            "img_size": data.size,
            **model.arguments,
        }
        if data.modalities is not None:
            arguments["modalities"] = data.modalities
        return cls(model.name, tuple(sorted(arguments.items())), code_behind([model.name]))

    @property
    def own(self) -> bool:
        """Whether it is a network of vtbench."""
        return ":" not in self.name

    @property
    def clip_shape(self) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
        """One clip of its input, (T, 3, H, W), or the shape of each of its modalities."""
        arguments = dict(self.arguments)
        frames, size = arguments["num_frames"], arguments["img_size"]
        shapes = {
            "iframe": (frames, 3, size, size),
            "motion": (frames, 2, size, size),
            "residual": (frames, 3, size, size),
            "audio": (frames, arguments.get("audio_dim", 0)),
        }
        if "modalities" not in arguments:
            return shapes["iframe"]
        return {name: shapes[name] for name in arguments["modalities"]}

    @property
    def key(self) -> str:
        """12 hex digits of the sha256 of the content; arguments that are not set do not enter."""
        content = {"name": self.name, **{name: value for name, value in self.arguments if value is not None}}
        return digest({**content, "code": self.code} if self.code else content)
