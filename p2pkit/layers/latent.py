"""Noise that an encoder makes of an image: drawn from the normal distribution that it gives."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_latent(mean: Tensor, log_var: Tensor) -> Tensor:
    """Draw a vector from a normal distribution, so that gradients reach its mean and its variance.

    Args:
        mean: The mean of each number.
        log_var: The logarithm of its variance.

    Shape: each (B, size) -> (B, size).
    Source: Kingma and Welling 2014, arXiv:1312.6114, section 2.4.
    """
    return mean + torch.randn_like(mean) * (0.5 * log_var).exp()


def kl_to_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return how far a normal distribution is from the standard one, summed over the numbers: the mean over a batch.

    Args:
        mean: The mean of each number.
        log_var: The logarithm of its variance.

    Shape: each (B, size) -> scalar.
    Source: Kingma and Welling 2014, arXiv:1312.6114, appendix B.
    """
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1).mean()
