"""What builders of networks and methods accept, read from their source with `ast`: nothing is imported, torch least.

A spec names a builder of the package by its short name, or any other as `package.module:name`: a function, a class
whose `__init__` takes the arguments, or a dataclass whose fields they are.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vtbench.errors import SpecError, did_you_mean, unknown
from vtbench.fields import outside
from vtbench.metrics import always_measured, functions
from vtbench.papers.code.modules import module_file
from vtbench.papers.code.source import (
    Argument,
    class_rules,
    class_signature,
    definition,
    dict_keys,
    dict_of_names,
    followed,
    signature_of,
)
from vtbench.papers.roots import PACKAGE
from vtbench.papers.spec.document import Node, Problems, convert

FROM_DATA = ("num_classes", "num_frames", "img_size", "modalities")
"""Arguments that are filled in from the data block; a spec may not set them. The last one goes only to networks that
have it."""
METRIC_ARGUMENTS = ("scores", "labels", "expected_labels")
"""What a metric is given: scores (N, C) and labels (N,) of the videos that were scored, and by keyword the labels of
all videos that were to be tested."""
OF_EVERY_METHOD = ("lr", "epochs")
"""Arguments that every method takes; in a spec they are keys of every recipe."""
GIVEN_TO_METHODS = ("network", "audio_encoder", "average", "metrics", "views_per_forward")
"""Arguments of a method that a spec does not give in `train`."""


def called(name: str) -> str:
    """The function or class of a name in a spec: "toy" of "lab.networks:toy"."""
    return name.rpartition(":")[2]


@dataclass(frozen=True)
class Builders:
    """The networks, methods, data modules and metrics that a spec can name.

    - package: the folder that holds models/, methods/, ... (vtbench itself)
    - home: the folder that the spec is in, where its own modules lie
    """

    package: Path = PACKAGE
    home: Path | None = None

    def models(self) -> Mapping[str, str]:
        """MODELS of models/__init__.py: name -> "module:function"."""
        return dict_of_names(self.package / "models" / "__init__.py", "MODELS")

    def methods(self) -> Mapping[str, str]:
        """METHODS of methods/__init__.py: name -> "module:class"."""
        return dict_of_names(self.package / "methods" / "__init__.py", "METHODS")

    def data_modules(self) -> Mapping[str, str]:
        """DATASETS of datasets/__init__.py: name -> "module:class"."""
        return dict_of_names(self.package / "datasets" / "__init__.py", "DATASETS")

    def official_formats(self) -> Mapping[str, str]:
        """FORMATS of datasets/official/__init__.py: format of annotation files -> the module that reads them."""
        return dict_of_names(self.package / "datasets" / "official" / "__init__.py", "FORMATS")

    def metrics(self) -> Mapping[str, str]:
        """The metrics of vtbench.metrics that are measured if asked for: name -> "module:function"."""
        return {name: place for name, place in functions().items() if name not in always_measured()}

    def audio_encoders(self) -> Mapping[str, str]:
        """AUDIO_ENCODERS of models/__init__.py: name -> "module:class"."""
        return dict_of_names(self.package / "models" / "__init__.py", "AUDIO_ENCODERS")

    def audio_weights(self) -> Mapping[str, str]:
        """AUDIO_WEIGHTS of models/__init__.py: audio encoder that takes a file of weights -> what loads it."""
        return dict_of_names(self.package / "models" / "__init__.py", "AUDIO_WEIGHTS")

    def attentions(self) -> list[str]:
        """The names in ATTENTIONS of layers/attention.py, whose growth can be counted."""
        return dict_keys(self.package / "layers" / "attention.py", "ATTENTIONS")

    def signature(self, name: str) -> Mapping[str, Argument]:
        """The keyword arguments of the network `name`, in order. Raises SpecError, without a place, if there is none
        of this name."""
        return signature_of(*self._place(name, self.models(), "model"))

    def network(self, name: Node) -> Mapping[str, Argument]:
        """The signature of the network that a spec names. Raises SpecError at that place for what is not a network."""
        signature: Mapping[str, Argument] = self._at(name, self.signature)
        missing = [key for key in FROM_DATA[:3] if key not in signature]
        if missing:
            name.fail(f"{called(name.value)}() does not take {' and '.join(missing)}, which the data block gives")
        return signature

    def arguments(self, name: Node, given: Mapping[str, Node], *, defaults: bool = True) -> dict[str, Any]:
        """The model arguments of a spec, each of the type that the builder wants, with its `defaults` filled in.

        Raises SpecError for an unknown builder or argument, a wrong type or choice, and a required argument left out.
        """
        signature = self.network(name)
        problems = Problems()
        known = {key: argument for key, argument in signature.items() if key not in FROM_DATA}
        arguments = {key: argument.default for key, argument in known.items()} if defaults else {}
        for key, node in given.items():
            try:  # not `with problems.collected()`: this runs for every argument of every row
                self.check_argument(name.value, key, node, known)
                arguments[key] = _within(node, known[key])
            except SpecError as error:
                problems.add(error)
        for key, argument in known.items():
            if argument.required and key not in given:
                with problems.collected():
                    name.fail(f"{called(name.value)}() needs the argument '{key}', which is not given")
        problems.refuse()
        return arguments

    def check_argument(self, network: str, key: str, node: Node, known: Mapping[str, Argument]) -> None:
        """Refuse a key that the network does not take, or that a spec may not set."""
        if key in FROM_DATA:
            node.fail("is filled in from the data block; leave it out")
        if key not in known:
            node.fail(unknown("argument", key, known, of=f"{called(network)}()"))

    def method(self, name: Node) -> Mapping[str, Argument] | None:
        """The keyword arguments of the method that a spec names, a short name or `package.module:Class`, with those
        that its bases take through `**`; None where a base is not written in Python that can be found. Refuses what is
        not a class."""
        found: Mapping[str, Argument] | None = self._at(
            name, lambda text: class_signature(*self._place(text, self.methods(), "method"))
        )
        return found

    def method_arguments(
        self, name: Node, given: Mapping[str, Node], removed: Mapping[str, Node], at: str = ""
    ) -> dict[str, Any]:
        """What a spec gives to its method, each of the type and in the range that its `__init__` wants.

        - given: the keys of `train` that the trainer does not take
        - removed: keys that an empty value took away

        Raises SpecError for an unknown method or argument, for one left out that it needs, for a wrong type, choice or
        range, and for arguments that do not go together (`needs` and `forbids` of vtbench.methods.base).
        """
        signature = self.method(name)
        if signature is None:  # a base that cannot be read: Python will say what does not fit
            return {key: convert(node, Any) for key, node in given.items()}
        method, problems = called(name.value), Problems()
        known = {key: argument for key, argument in signature.items() if key not in GIVEN_TO_METHODS}
        if lacking := [key for key in OF_EVERY_METHOD if key not in known]:
            with problems.collected():
                name.fail(
                    f"the method {method} does not take {' and '.join(lacking)}, which every recipe has; derive it "
                    "from vtbench.methods.base.ScheduledClassifier, or take them in __init__"
                )
        arguments = {}
        for key, node in given.items():
            try:  # not `with problems.collected()`: this runs for every argument of every row
                if key not in known:
                    if did_you_mean(key, known):
                        node.fail(unknown("key", key, known))
                    here = node.key.rpartition(".")[0] == name.key.rpartition(".")[0]
                    remedy = "" if here else f"; write {key}: null beside the method to leave it out"
                    node.fail(unknown("argument", key, known, of=f"the method {method}") + remedy)
                arguments[key] = _within(node, known[key])
            except SpecError as error:
                problems.add(error)
        missing = [key for key, argument in known.items()
                   if argument.required and key not in given and key not in OF_EVERY_METHOD]  # fmt: skip
        for key in (key for key in missing if key in removed):
            with problems.collected():
                removed[key].fail(f"is removed here{at}, and the method {method} needs it")
        if asked := [key for key in missing if key not in removed]:
            with problems.collected():
                name.fail(f"the method {method} needs {', '.join(asked)}, which the train block does not give")
        problems.refuse()
        return arguments

    def rules(self, method: str, name: str) -> Mapping[str, tuple[str, ...]]:
        """`needs` or `forbids` of a method: argument -> another argument and those of its values that need, or forbid,
        the first (see vtbench.methods.base). What a class says lies on what its first base says."""
        return class_rules(*self._place(method, self.methods(), "method"), name)

    def data_module(self, name: Node) -> None:
        """Refuse what is not a data module: a short name, or `package.module:Class`."""
        self._at(name, lambda text: definition(*self._place(text, self.data_modules(), "data module"), ast.ClassDef))

    def metric(self, name: Node) -> str:
        """The key under which a metric is published: its name, without the module. Refuses what is not a metric, and
        one that does not take scores, labels and the labels expected."""
        signature = self._at(name, lambda text: signature_of(*self._place(text, self.metrics(), "metric")))
        if list(signature) != list(METRIC_ARGUMENTS):
            name.fail(f"{called(name.value)}() takes ({', '.join(signature)}), not ({', '.join(METRIC_ARGUMENTS)})")
        return called(name.value)

    def _at(self, name: Node, read: Callable[[str], Any]) -> Any:
        """What `read` makes of a name, and its errors at the place where the name stands."""
        if not isinstance(name.value, str):
            name.fail("must be a name, as text")
        try:
            return read(name.value)
        except SpecError as error:
            name.fail(str(error))

    def _place(self, name: str, known: Mapping[str, str], kind: str) -> tuple[Path, str]:
        """The file and the function or class of a name. Raises SpecError without a place."""
        module, colon, attribute = known.get(name, name).partition(":")
        if name in known and module.startswith(f"{PACKAGE.name}."):
            return _own_file(self.package, module), attribute
        if not colon:
            own = "" if did_you_mean(name, known) else "; your own is named as package.module:name"
            raise SpecError(f"{unknown(kind, name, known)}{own}")
        if not module or not attribute.isidentifier():
            raise SpecError(f"{name!r} must be package.module:name")
        return followed(module_file(module, self.home), module, attribute)


def _within(node: Node, argument: Argument) -> Any:
    """The value of a node as an argument wants it, in its range. Raises SpecError."""
    value = convert(node, argument.hint)
    if argument.limits and (wrong := outside(value, argument.limits)):
        node.fail(wrong)
    return value


@cache
def _own_file(package: Path, module: str) -> Path:
    return package.joinpath(*module.split(".")[1:]).with_suffix(".py")
