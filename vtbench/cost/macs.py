"""Multiply-accumulates of one forward pass under the three conventions that the papers' digits need.

Every figure that papers print as "FLOPs" and that could be reproduced is a count of multiply-accumulates (MACs). Tools
differ in what they count beside the obvious:

- `fvcore`: what `fvcore.nn.FlopCountAnalysis(...).total()` gives for the network with unfused attention: convolutions,
  linear layers and matrix products, 5 per element of an affine layer, group or instance norm (4 without affine), 2 per
  element of a batch norm in eval mode (1 without affine), the inputs of adaptive average pooling, and 1 (nearest) or 4
  (bilinear) per output of an upsampling or grid sampling.
- `matmul`: convolutions, linear layers and matrix products only: half of `torch.utils.flop_counter`.
- `thop`: convolution and linear *modules* only, so no attention products, as `thop` counts them.

As a rule nothing is computed: the network is counted on the meta device, with no memory for its activations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from vtbench.clips import map_modalities

aten = torch.ops.aten


def count_macs(
    model: nn.Module, input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]], *, device: str = "meta"
) -> dict[str, int]:
    """MACs of `model` in eval mode on one float input of `input_shape`: {"fvcore": ..., "matmul": ..., "thop": ...}.

    Count one clip with a leading 1: (1, T, 3, H, W); for a model that takes several modalities by name, the shape of
    each. The model may be on any device, also on meta, and is not changed: a copy on `device` is counted. On meta
    nothing is computed; another device is for a model that looks at the values it computes. Matrix products of any kind
    are found, whether a module, a function or the fused `scaled_dot_product_attention` makes them (except `thop`, by
    definition).
    """
    model = copy.deepcopy(model).to(device).eval().requires_grad_(False)
    thop = _ThopCounter(model)
    matmul = FlopCounterMode(display=False)
    # Inference mode: there operators like linear and batch_norm reach a dispatch mode whole instead of in pieces.
    with torch.inference_mode(), matmul, _FvcoreCounter() as fvcore:
        model(map_modalities(lambda shape: torch.zeros(shape, device=device), input_shape))
    return {"fvcore": fvcore.total, "matmul": matmul.get_total_flops() // 2, "thop": thop.total}


class _ThopCounter:
    """Adds up the MACs of convolution and linear modules by forward hooks."""

    def __init__(self, model: nn.Module) -> None:
        self.total = 0
        for module in model.modules():
            if isinstance(module, (_ConvNd, nn.Linear)):
                module.register_forward_hook(self._count)

    def _count(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Linear):
            self.total += output.numel() * module.in_features
        elif isinstance(module, _ConvTransposeNd):
            self.total += inputs[0].numel() * (module.out_channels // module.groups) * prod(module.kernel_size)
        elif isinstance(module, _ConvNd):
            self.total += output.numel() * (module.in_channels // module.groups) * prod(module.kernel_size)


class _FvcoreCounter(TorchDispatchMode):
    """Adds up MACs by fvcore's rules, operator by operator."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        rule = FVCORE_RULES.get(func.overloadpacket)
        if rule is None:
            # An operator made of others: look inside.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            return func(*args, **kwargs)
        output = func(*args, **kwargs)
        # torch drops arguments that have their default value; the rules want every one at its place.
        given = {**{a.name: a.default_value for a in func._schema.arguments}, **kwargs}
        every = args + tuple(given[a.name] for a in func._schema.arguments[len(args) :])
        self.total += rule(every, output)
        return output


def _linear(args: tuple[Any, ...], output: Any) -> int:
    x, weight = args[:2]
    return x.numel() * weight.shape[0]


def _matmul(args: tuple[Any, ...], output: Any) -> int:
    a, b = args[:2]
    return a.numel() * b.shape[-1]


def _addmm(args: tuple[Any, ...], output: Any) -> int:
    return _matmul(args[1:3], output)


def _convolution(args: tuple[Any, ...], output: Any) -> int:
    x, weight, transposed = args[0], args[1], args[6]
    return x.shape[0] * weight.numel() * prod((x if transposed else output).shape[2:])


def _attention(args: tuple[Any, ...], output: Any) -> int:
    """The two matrix products inside scaled_dot_product_attention, which fvcore itself does not see."""
    q, k, v = args[:3]
    return q.numel() * k.shape[-2] + prod(q.shape[:-1]) * k.shape[-2] * v.shape[-1]


def _norm(affine: int) -> Callable[[tuple[Any, ...], Any], int]:
    """5 per element, 4 without affine; `affine` is the position of the weight among the arguments."""
    return lambda args, output: args[0].numel() * (4 if args[affine] is None else 5)


def _batch_norm(args: tuple[Any, ...], output: Any) -> int:
    x, weight, training = args[0], args[1], args[5]
    if training:
        return _norm(affine=1)(args, output)
    return x.numel() * (1 if weight is None else 2)


def _per_input(args: tuple[Any, ...], output: Any) -> int:
    return args[0].numel()


def _per_output(times: int) -> Callable[[tuple[Any, ...], Any], int]:
    return lambda args, output: times * output.numel()


FVCORE_RULES: dict[Any, Callable[[tuple[Any, ...], Any], int]] = {
    aten.linear: _linear,
    aten.matmul: _matmul,
    aten.mm: _matmul,
    aten.bmm: _matmul,
    aten.addmm: _addmm,
    aten.convolution: _convolution,
    aten.scaled_dot_product_attention: _attention,
    aten.batch_norm: _batch_norm,
    aten.layer_norm: _norm(affine=2),
    aten.group_norm: _norm(affine=2),
    aten.instance_norm: _norm(affine=1),
    aten.adaptive_avg_pool2d: _per_input,
    aten.upsample_nearest2d: _per_output(1),
    aten.upsample_bilinear2d: _per_output(4),
    aten.grid_sampler: _per_output(4),
}
"""Operator -> rule(arguments, output), after fvcore/nn/flop_count.py and jit_handles.py of fvcore 0.1.5; the attention
is ours. Products written with einsum are found in the matrix products that torch makes of them."""
