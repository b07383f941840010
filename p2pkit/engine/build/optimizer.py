"""Optimisers of the players, and their learning rates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from p2pkit.config.model import OptimizerConfig

_SET_TO = "set_to"
"""Key of a group's learning rate as the host knows it."""


def make_optimizer(config: OptimizerConfig, network: nn.Module) -> Optimizer:
    """Return the optimiser of a network's trainable parameters, capturable where they lie on a GPU."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[config.use]
    device = parameters[0].device
    cuda = device.type == "cuda"
    return kind(
        parameters,
        lr=torch.tensor(config.lr, device=device) if cuda else config.lr,  # a captured step reads it where it lies
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=cuda or device.type == "cpu",
        capturable=cuda,
    )


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set an optimiser's learning rate where it is another, in place where it lies on the device."""
    for group in optimizer.param_groups:
        if group.get(_SET_TO) == rate:
            continue
        group[_SET_TO] = rate
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def learning_rate(optimizer: Optimizer) -> float:
    """Return an optimiser's learning rate; the host waits for the device only where it was never set."""
    group = optimizer.param_groups[0]
    return float(group.get(_SET_TO, group["lr"]))
