from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from vtbench.models import MODELS


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small run several times slower on several threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def build_unchecked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., nn.Module]:
    """`vtbench.models.build` without the type checks of the tests, which would find an impossible argument first."""

    def build(name: str, **arguments: Any) -> nn.Module:
        module, _, config = MODELS[name].partition(":")
        builder = getattr(importlib.import_module(module), config)
        monkeypatch.setattr(builder, "__init__", inspect.unwrap(builder.__init__))
        network: nn.Module = builder(**arguments).build()
        return network

    return build
