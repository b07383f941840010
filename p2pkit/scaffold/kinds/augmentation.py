"""An augmentation to begin with: top and bottom exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

import p2pkit

P2PKIT_PLUGIN_API = 2


class VerticalFlip:
    """Top and bottom exchanged, in some of the pairs; source and target alike.

    What is drawn comes from the CPU's generator, so that a run's seed covers it and nothing waits for the device.

    Args:
        probability: Probability that a pair is flipped.

    Shape: source (B, C_source, H, W), target (B, C_target, H, W), both in [-1, 1] -> the same.
    Source: no publication; the mirror image of the usual horizontal flip.
    """

    def __init__(
        self, *, probability: Annotated[float, Field(ge=0, le=1, description="Probability of a flip.")] = 0.5
    ) -> None:
        self.probability = probability

    def __call__(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Change a batch."""
        drawn = torch.rand(len(source)) < self.probability
        flipped = drawn.to(source.device, non_blocking=source.is_cuda).view(-1, 1, 1, 1)
        return torch.where(flipped, source.flip(2), source), torch.where(flipped, target.flip(2), target)


@p2pkit.hookimpl
def p2pkit_augmentations() -> Iterator[p2pkit.Augmentation]:
    """Offer this plugin's augmentations."""
    yield p2pkit.Augmentation("vertical_flip", VerticalFlip)
