"""An optimiser to begin with: Lion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import optim

import p2pkit
from p2pkit.untyped import Untyped

P2PKIT_PLUGIN_API = 2

Share = Annotated[float, Field(ge=0, lt=1)]


class Lion(optim.Optimizer):
    """The sign of a momentum, which moves every weight by the same amount.

    The groups that it is given have learning rates of their own, which change in each step; on a GPU they are tensors.
    Nothing here asks a tensor for its value, so that the step can be one CUDA graph.

    Args:
        groups: Parameters with their learning rates.
        betas: Decay of the momentum, for the update and for what is kept.
        weight_decay: Weight decay.

    Source: Chen et al. 2023, arXiv:2302.06675, algorithm 2.
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Untyped]],
        *,
        betas: Annotated[tuple[Share, Share], Field(description="Decay for the update, and for what is kept.")] = (
            0.9,
            0.99,
        ),
        weight_decay: Annotated[float, Field(ge=0, description="Weight decay.")] = 0.0,
    ) -> None:
        super().__init__(groups, {"lr": 1e-4, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Untyped = None) -> Untyped:
        """Update each parameter that has a gradient; torch's closures are of no use here."""
        for group in self.param_groups:
            rate, (update, keep) = group["lr"], group["betas"]
            for weight in (weight for weight in group["params"] if weight.grad is not None):
                state = self.state[weight]  # what lies here as tensors is saved, and comes back
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                direction = state["momentum"].lerp(weight.grad, 1 - update).sign()
                weight.mul_(1 - rate * group["weight_decay"])
                weight.sub_(direction * rate)
                state["momentum"].lerp_(weight.grad, 1 - keep)


@p2pkit.hookimpl
def p2pkit_optimizers() -> Iterator[p2pkit.Optimizer]:
    """Offer this plugin's optimisers."""
    yield p2pkit.Optimizer("lion", Lion)
