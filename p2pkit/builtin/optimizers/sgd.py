"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import optim

from p2pkit.builtin.optimizers.fields import Decay, Groups, Momentum, device_type


def sgd(
    groups: Groups,
    *,
    momentum: Momentum = 0.9,
    nesterov: Annotated[bool, Field(description="Whether to look ahead by the momentum.")] = False,
    weight_decay: Decay = 0.0,
) -> optim.Optimizer:
    """Stochastic gradient descent with momentum.

    Source: Sutskever et al. 2013, proceedings.mlr.press/v28/sutskever13.
    """
    fused = device_type(groups) in ("cuda", "cpu")
    return optim.SGD(groups, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=fused)
