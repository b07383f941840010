"""What both generators are made of, in one style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from p2pkit.layers import Padding, ResidualBlock, normalise, same_convolution, upsample
from pydantic import Field
from torch import nn

Norm = Annotated[
    Literal["instance", "batch", "none"], Field(description="Normalisation that follows the convolutions.")
]
Upsampling = Annotated[
    Literal["transposed", "nearest", "bilinear"],
    Field(description="How sides are doubled; all but transposed start free of checkerboards."),
]


@dataclass(frozen=True)
class Style:
    """The choices that all parts of a generator share; the methods build its layers.

    Args:
        norm: Normalisation after each convolution.
        padding: What the blocks and the 7 x 7 convolutions see beyond the border.
        upsampling: How sides are doubled.
    """

    norm: str
    padding: Padding
    upsampling: str

    def first(self, in_channels: int, out_channels: int) -> nn.Sequential:
        """Return the 7 x 7 layer that meets the source: c7s1 in the paper's notation."""
        return self._activated(out_channels, same_convolution(in_channels, out_channels, 7, padding=self.padding))

    def block(self, channels: int) -> ResidualBlock:
        """Return a residual block."""
        return ResidualBlock(channels, self.norm, padding=self.padding)

    def down(self, channels: int) -> nn.Sequential:
        """Return a layer that halves the sides and doubles the channels."""
        return self._activated(2 * channels, nn.Conv2d(channels, 2 * channels, 3, 2, 1))

    def up(self, channels: int) -> nn.Sequential:
        """Return a layer that doubles the sides and halves the channels."""
        half = channels // 2
        doubling = upsample(self.upsampling, channels, half, bias=True, kernel=3)
        return self._activated(half, *(doubling if isinstance(doubling, nn.Sequential) else [doubling]))

    def last(self, in_channels: int, out_channels: int) -> nn.Sequential:
        """Return the 7 x 7 layer that makes the image."""
        return nn.Sequential(same_convolution(in_channels, out_channels, 7, padding=self.padding), nn.Tanh())

    def _activated(self, channels: int, *layers: nn.Module) -> nn.Sequential:
        return nn.Sequential(*layers, *normalise(self.norm, channels), nn.ReLU())
