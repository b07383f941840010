"""Batch norm whose statistics in training are those of all processes' pairs: torch's `SyncBatchNorm`, for GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from torch import nn

from p2pkit.engine.distributed.collectives import is_initialized


def convert_sync_batch_norm(network: nn.Module) -> nn.Module:
    """Return a network whose batch norms see the pairs of all processes, where there are several."""
    if is_initialized():
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # torch's lacks types
    return network


@contextmanager
def local_batch_norm(network: nn.Module) -> Iterator[None]:
    """Context in which batch norm looks at this process's own images, as evaluations do that run unequal numbers."""
    norms = [module for module in network.modules() if isinstance(module, nn.SyncBatchNorm)]
    before = [norm.process_group for norm in norms]
    for norm in norms:
        norm.process_group = dist.GroupMember.NON_GROUP_MEMBER  # who is of no group has nobody to exchange with
    try:
        yield
    finally:
        for norm, group in zip(norms, before, strict=True):
            norm.process_group = group
