"""A plugin for p2pkit: one generator."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

import p2pkit
from p2pkit.layers import Width

P2PKIT_PLUGIN_API = 1


class ShallowUNet(nn.Module):
    """A U-Net with one halving.

    Args:
        images: What the run's images are.
        width: Channels at full size; half the size has twice as many.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; any H, W from 2.
    Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 1, cut down to two levels.
    """

    def __init__(self, images: p2pkit.PairSpec, *, width: Width = 32) -> None:
        super().__init__()
        self.level = nn.Sequential(nn.Conv2d(images.source.channels, width, 3, padding=1), nn.LeakyReLU(0.2))
        self.below = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(width, 2 * width, 3, padding=1), nn.LeakyReLU(0.2))
        self.last = nn.Sequential(nn.Conv2d(3 * width, images.target.channels, 3, padding=1), nn.Tanh())

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        level = self.level(source)
        below = nn.functional.interpolate(self.below(level), level.shape[-2:])
        fake: Tensor = self.last(torch.cat([level, below], 1))
        return fake


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer this plugin's generators."""
    yield p2pkit.Generator("shallow_unet", ShallowUNet)
