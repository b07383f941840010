"""Exponential moving average of the generator.

torch's own `AveragedModel` compares a device counter on the host in every update and has no warm-up, so a short run
would keep a good part of its random first weights.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


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
        weight = 1 - ((1 + self.count) / (10 + self.count)).clamp(max=self.decay)
        average: list[Tensor] = list(self.network.parameters())
        latest: list[Tensor] = list(network.parameters())
        towards = list(torch._foreach_sub(latest, average))
        torch._foreach_mul_(towards, weight)
        torch._foreach_add_(average, towards)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)
