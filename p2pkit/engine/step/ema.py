"""Exponential moving average of the generator.

torch's own `AveragedModel` compares a device counter on the host in every update and has no warm-up, so a short run
would keep a good part of its random first weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


class EMA:
    """The average of a network's weights over its updates; its buffers are the network's latest.

    Args:
        network: The network to follow.
        decay: Share of the average that an update keeps, reached after a warm-up: min(decay, (1 + n) / (10 + n)).

    Source: Karras et al. 2018, arXiv:1710.10196, appendix A.2 (the average); the warm-up is TensorFlow's.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.count = torch.zeros((), device=next(network.parameters()).device)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the network's present weights."""
        self.count += 1
        weight = (9 / (10 + self.count)).clamp(min=1 - self.decay)  # what is not kept of the average
        average: list[Tensor] = list(self.network.parameters())
        latest: list[Tensor] = list(network.parameters())
        _step_towards(latest, average, weight)
        _copy_all(network.buffers(), self.network.buffers())


def _step_towards(latest: list[Tensor], average: list[Tensor], weight: Tensor) -> None:
    """Move an average towards the latest values, in one pass over both.

    torch's lerp of lists takes no weight that lies on a GPU. A step of SGD down half the squared distance, whose
    gradient is average - latest, is that lerp, and takes a learning rate that does.
    """
    sgd(
        average,
        latest,
        [None] * len(average),
        fused=True,
        lr=weight,
        weight_decay=1.0,
        momentum=0.0,
        dampening=0.0,
        nesterov=False,
        maximize=True,
    )


def _copy_all(sources: Iterable[Tensor], copies: Iterable[Tensor]) -> None:
    """Copy tensors into others, those of one type by one launch."""
    pairs = list(zip(sources, copies, strict=True))
    for dtype in {source.dtype for source, _ in pairs}:
        alike = [pair for pair in pairs if pair[0].dtype == dtype]
        torch._foreach_copy_([copy for _, copy in alike], [source for source, _ in alike])
