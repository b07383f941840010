"""Batch norm whose statistics in training are those of all processes' pairs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from p2pkit.engine.distributed.collectives import is_initialized

_local = False


def convert_sync_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Let every batch norm of a network see the pairs of all processes, where there are several."""
    kind = _OnGPU if device.type == "cuda" else _OnCPU
    for module in network.modules() if is_initialized() else ():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            object.__setattr__(module, "__class__", kind)  # parameters, buffers and hooks stay as they are
            object.__setattr__(module, "process_group", None)


@contextmanager
def local_batch_norm() -> Iterator[None]:
    """Context in which batch norm looks at this process's own images, as evaluations do that run unequal numbers."""
    global _local
    before, _local = _local, True
    try:
        yield
    finally:
        _local = before


class _OnGPU(nn.SyncBatchNorm):
    def forward(self, input: Tensor) -> Tensor:
        return _BatchNorm.forward(self, input) if _local else super().forward(input)


class _OnCPU(_BatchNorm):
    """What torch's `SyncBatchNorm` does, which works on GPUs only.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1, with the batch of all processes.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any: the class that this one replaces has checked the network's shapes before."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise a batch.

        Shape: (B, C, ...) -> the same, any real values.
        """
        if _local or not self.training:
            return super().forward(input)
        over = [dim for dim in range(input.dim()) if dim != 1]
        values = input.float()
        count = dist.get_world_size() * values.numel() / values.shape[1]  # each process has as many
        mean = _sum(values.sum(over, keepdim=True)) / count
        variance = _sum((values - mean).square().sum(over, keepdim=True)) / count
        if self.track_running_stats:
            self._remember(mean.detach().flatten(), variance.detach().flatten() * count / (count - 1))
        normalised = (values - mean) * torch.rsqrt(variance + self.eps)
        if self.affine:
            shape = mean.shape
            normalised = normalised * self.weight.view(shape)
            normalised = normalised if self.bias is None else normalised + self.bias.view(shape)
        return normalised.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Sum(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return _sum(gradients[0].contiguous())


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)
    return total
