"""Batch norm over the clips of several processes.

torch.nn.SyncBatchNorm is for GPUs alone; on CPUs the same is computed here with torch.distributed's all_reduce.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. It is a part of the loss of each of them, so its gradient is the sum of
    theirs."""

    @staticmethod
    def forward(ctx: object, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient.contiguous())


class CpuSyncBatchNorm(_BatchNorm):
    """Batch norm (B, C, ...) whose statistics in training are those of the batches of all processes together, and whose
    gradients are those of one batch norm over all of them."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"batch norm takes 2 dimensions or more, not {input.ndim}")

    def forward(self, input: Tensor) -> Tensor:
        """As torch.nn.BatchNorm1d and the like; every process must call it as often."""
        if not (self.training and dist.is_initialized()):
            return super().forward(input)
        self._check_input_dim(input)
        x = input.transpose(0, 1).flatten(1)  # (C, clips and positions)
        count = _Sum.apply(torch.tensor(float(x.shape[1])))
        mean = _Sum.apply(x.sum(dim=1)) / count
        centred = x - mean[:, None]
        variance = _Sum.apply(centred.square().sum(dim=1)) / count
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            self._track(mean.detach(), variance.detach() * count / (count - 1))
        shape = (1, -1, *(1 for _ in input.shape[2:]))
        y = (input - mean.view(shape)) * (variance.view(shape) + self.eps).rsqrt()
        return y if self.weight is None else y * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)  # type: ignore[union-attr]
        self.running_var.lerp_(variance, share)  # type: ignore[union-attr]


def has_batch_norm(network: nn.Module) -> bool:
    """Whether there is any batch norm in a network."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def is_synchronised(network: nn.Module) -> bool:
    """Whether there is a batch norm in a network that waits for those of other processes."""
    return any(isinstance(module, CpuSyncBatchNorm | nn.SyncBatchNorm) for module in network.modules())


def synchronised(network: nn.Module, *, gpu: bool) -> None:
    """Replace every batch norm of a network by one over the clips of all processes; names and weights stay."""
    for name, module in network.named_children():
        if isinstance(module, _BatchNorm):
            setattr(network, name, _converted(module, gpu=gpu))
        else:
            synchronised(module, gpu=gpu)


def _converted(module: _BatchNorm, *, gpu: bool) -> nn.Module:
    if gpu:
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return converted
    made = CpuSyncBatchNorm(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
    made._parameters, made._buffers, made.training = module._parameters, module._buffers, module.training
    return made
