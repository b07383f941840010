"""A generator to begin with: a small U-Net, which a class, numbers or noise beside the images may change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

import p2pkit
from p2pkit.layers import FiLM, condition_size

P2PKIT_PLUGIN_API = 2


class SmallUNet(nn.Module):
    """A U-Net of a few levels, which doubles by bilinear upsampling.

    Args:
        images: What the run's images are.
        depth: Number of halvings.
        width: Channels of the first level; each level has twice the channels of the one before.
        condition: Vector beside the images by which the deepest level is scaled and shifted; none by default.

    Raises:
        ComponentError: The images' sides are not multiples of 2**depth, or there is no vector to condition on.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of 2**depth.
    Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 1.
    """

    def __init__(
        self,
        images: p2pkit.PairSpec,
        *,
        depth: Annotated[int, Field(ge=1, le=8, description="Number of halvings of the image's sides.")] = 3,
        width: Annotated[int, Field(ge=4, le=512, description="Channels of the first level.")] = 32,
        condition: Annotated[str | None, Field(description="Vector beside the images, a class or noise too.")] = None,
    ) -> None:
        super().__init__()
        self.multiple = 2**depth
        if images.height % self.multiple or images.width % self.multiple:
            raise p2pkit.ComponentError(
                f"sides of {images.height} x {images.width} can't be halved {depth} times",
                remedy=f"use sides that are multiples of {self.multiple}, or a smaller depth",
                parameter="depth",
            )
        levels = [width * 2**level for level in range(depth + 1)]
        inputs = [images.source.channels, *levels]
        self.down = nn.ModuleList([_block(inputs[i], inputs[i + 1]) for i in range(depth + 1)])
        self.up = nn.ModuleList([_block(levels[i] + levels[i + 1], levels[i]) for i in reversed(range(depth))])
        self.last = nn.Conv2d(width, images.target.channels, 1)
        self.condition = condition
        if condition is not None:
            self.takes = (condition,)
            self.film = FiLM(condition_size(images, condition), levels[-1])

    def forward(self, source: Tensor, **extras: Tensor) -> Tensor:
        """Make a fake of a source, and of what `takes` names beside it."""
        levels = [self.down[0](source)]
        for block in self.down[1:]:
            levels.append(block(functional.max_pool2d(levels[-1], 2)))
        image = levels.pop()
        if self.condition is not None:
            image = self.film(image, extras[self.condition])
        for block in self.up:
            larger = functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
            image = block(torch.cat([levels.pop(), larger], 1))
        fake: Tensor = self.last(image).tanh()
        return fake


def _block(inputs: int, outputs: int) -> nn.Sequential:
    first, second = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
    return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer this plugin's generators."""
    yield p2pkit.Generator("small_unet", SmallUNet, extras={"z": p2pkit.VectorSpec(4, "noise")})  # as tests try it
