"""Muon for networks of convolutions.

torch's own takes matrices alone, and a U-Net has none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, optim

from p2pkit.builtin.optimizers.fields import Betas, Decay, Eps, Groups, Momentum
from p2pkit.untyped import Untyped

_QUINTIC = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5


class Muon(optim.Optimizer):
    """Momentum made orthogonal, for weights; Adam for biases, norms and all else of one dimension.

    A convolution's weight is taken as a matrix: its first dimension against all others. The update of a matrix is as
    large as one of Adam's is, so that both go by one learning rate.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; its size by Liu et al. 2025, arXiv:2502.16982.
    """

    def __init__(
        self,
        groups: Groups,
        *,
        momentum: Momentum = 0.95,
        betas: Betas = (0.5, 0.999),
        eps: Eps = 1e-8,
        weight_decay: Decay = 0.0,
    ) -> None:
        defaults = {"lr": 2e-4, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # a closure is of no use here
        """Update each parameter that has a gradient."""
        for group in self.param_groups:
            for weight in (weight for weight in group["params"] if weight.grad is not None):
                direction = self._of_matrix if weight.ndim > 1 else self._of_vector
                found = direction(weight, weight.grad, group)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(found.view_as(weight) * group["lr"])

    def _of_matrix(self, weight: Tensor, gradient: Tensor, group: dict[str, Untyped]) -> Tensor:
        held, momentum = self.state[weight], group["momentum"]
        if not held:
            held["momentum"] = torch.zeros_like(weight)
        held["momentum"].lerp_(gradient, 1 - momentum)
        matrix = gradient.lerp(held["momentum"], momentum).flatten(1)
        return orthogonal(matrix) * (0.2 * math.sqrt(max(matrix.shape)))

    def _of_vector(self, weight: Tensor, gradient: Tensor, group: dict[str, Untyped]) -> Tensor:
        held, (first, second) = self.state[weight], group["betas"]
        if not held:
            held |= {"step": weight.new_zeros(()), "mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        held["step"] += 1
        held["mean"].lerp_(gradient, 1 - first)
        held["square"].lerp_(gradient.square(), 1 - second)
        mean, square = held["mean"] / (1 - first ** held["step"]), held["square"] / (1 - second ** held["step"])
        found: Tensor = mean / (square.sqrt() + group["eps"])
        return found


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix whose singular values are equal: they come to lie around 1.

    Shape: (rows, columns) -> the same.

    Source: Jordan et al. 2024, by Newton-Schulz iteration; in fp32, since a CPU has no fast bf16.
    """
    a, b, c = _QUINTIC
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found: Tensor = wide / wide.norm().clamp_min(1e-7)
    for _ in range(_ITERATIONS):
        gram: Tensor = found @ found.T
        found = a * found + (b * gram + c * gram @ gram) @ found
    return found.T if matrix.shape[0] > matrix.shape[1] else found
