"""What rows resolve to: trainings, evaluations and measurements, each known by the hash of its content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from vtbench.papers.datasets import Dataset, load_dataset
from vtbench.papers.keys import digest_of, texts
from vtbench.papers.network import Network
from vtbench.papers.spec.recipe import Augment, Data, Eval, Model, Train, set_values
from vtbench.scales import Scale


@dataclass(frozen=True)
class Start:
    """The weights a training starts from: a file by name, another training, or (neither) random ones."""

    weights: str | None = None
    training: Training | None = None


ANY_SEED = -1
"""Stands for the seed in a training that is resolved once for all seeds; see `with_seed`."""


@dataclass(frozen=True)
class Training:
    """Everything that fixes a set of weights. Two rows that ask for the same training have equal keys and share it."""

    scale: Scale
    seed: int
    data: Data
    augment: Augment
    model: Model
    init: Start
    train: Train
    code: str | None = None
    """Hash of the user's modules and data set that it names; None where all of them are vtbench's own."""

    @cached_property
    def key(self) -> str:
        """12 hex digits of the sha256 of the content, and of the user's code where there is some.

        Batch size and accumulation enter as their product. Labels, the name of the scale and the test protocol do not
        enter, nor do keys that are not set: a key added to the schema later leaves old hashes alone.
        """
        start = self.init.training.key if self.init.training else self.init.weights
        return digest_of({**self._texts, **texts({"seed": self.seed, "init": start})})

    @cached_property
    def _texts(self) -> dict[str, str]:
        """What is hashed besides the seed and the start: the same for every seed."""
        data = set_values(self.data)
        data.pop("limit_test", None)
        train = set_values(self.train)
        train["effective_batch"] = train.pop("batch_size") * train.pop("accumulate")
        arguments = {name: value for name, value in self.model.arguments.items() if value is not None}
        content = {
            "data": data,
            "augment": set_values(self.augment),
            "model": {"name": self.model.name, **arguments},
            "train": train,
        }
        return texts({**content, "code": self.code} if self.code else content)

    def with_seed(self, seed: int) -> Training:
        """A training of ANY_SEED with this one, and so those that it starts from; one that serves all seeds stays."""
        if self.seed != ANY_SEED:
            return self
        start = self.init if self.init.training is None else Start(training=self.init.training.with_seed(seed))
        made = replace(self, seed=seed, init=start)
        made.__dict__["_texts"] = self._texts
        return made

    @property
    def weights(self) -> list[str]:
        """The names of the files of weights it takes: what the network starts from, and the audio encoder."""
        return [name for name in (self.init.weights, self.data.weights) if name]

    @property
    def network(self) -> Network:
        """Its network, before it is built."""
        return Network.of(self.data, self.model)

    @property
    def dataset(self) -> Dataset:
        """The data set that it trains on."""
        return load_dataset(self.data.dataset)

    def ancestors(self) -> list[Training]:
        """The trainings this one starts from, the first one first."""
        return [*self.init.training.ancestors(), self.init.training] if self.init.training else []


@dataclass(frozen=True)
class Evaluation:
    """A training and a test protocol. `data` is what it is tested on."""

    training: Training
    data: Data
    eval: Eval
    code: str | None = None
    """Hash of the user's metrics that it names; None where all of them are vtbench's own."""

    @property
    def dataset(self) -> Dataset:
        """The data set that is tested on."""
        return load_dataset(self.data.dataset)

    @cached_property
    def key(self) -> str:
        """12 hex digits of the sha256 of the content, and of the user's code where there is some."""
        return digest_of({**self._texts, **texts({"training": self.training.key})})

    @cached_property
    def _texts(self) -> dict[str, str]:
        """What is hashed besides the training: the same for every seed."""
        data = set_values(self.data)
        data.pop("limit_train", None)
        content = {"data": data, "eval": set_values(self.eval)}
        return texts({**content, "code": self.code} if self.code else content)

    def with_seed(self, seed: int) -> Evaluation:
        """An evaluation of ANY_SEED with this one."""
        made = replace(self, training=self.training.with_seed(seed))
        made.__dict__["_texts"] = self._texts
        return made


@dataclass(frozen=True)
class Measurement:
    """One line of results.csv to be: what a row asks for under one name, at one scale, with one seed."""

    row_id: str
    name: str
    scale: Scale
    seed: int
    evaluation: Evaluation
    where: str = ""
    """The file and line of the row, for messages."""
    roots: tuple[Path, ...] = ()
    """The folders outside vtbench that its papers, data sets and modules come from."""
    variant: str | None = None
    """What makes it another measurement than the row's own; None for the row's."""

    @property
    def title(self) -> str:
        """For messages: the row, and which of its measurements if it is not the main one."""
        return self.row_id if self.name == "main" else f"{self.row_id} ({self.name})"

    def with_seed(self, seed: int) -> Measurement:
        """A measurement of ANY_SEED with this one."""
        return replace(self, seed=seed, evaluation=self.evaluation.with_seed(seed))
