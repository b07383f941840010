"""The U-Net of many blog posts: UNetDown and UNetUp blocks, and an upsampled convolution at the end."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from p2pkit import PairSpec
from p2pkit.layers import Dropout, InitStd, Width, check_depth, drop, initialise, normalise, upsample, widths


class UNetDown(nn.Module):
    """Halve the sides.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        norm: Whether instance norm follows.
        dropout: Rate of the dropout; none at 0.

    Shape: (B, in_channels, H, W) -> (B, out_channels, H / 2, W / 2).
    """

    def __init__(self, in_channels: int, out_channels: int, *, norm: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        norms = normalise("instance", out_channels) if norm else ()
        halving = nn.Conv2d(in_channels, out_channels, 4, 2, 1, bias=False)
        self.model = nn.Sequential(halving, *norms, nn.LeakyReLU(0.2), *drop(dropout))

    def forward(self, image: Tensor) -> Tensor:
        """Make the next level."""
        level: Tensor = self.model(image)
        return level


class UNetUp(nn.Module):
    """Double the sides and append the encoder's level of that size.

    Args:
        in_channels: Channels in.
        out_channels: Channels out, before the level is appended.
        dropout: Rate of the dropout; none at 0.

    Shape: (B, in_channels, H, W) and (B, C, 2 H, 2 W) -> (B, out_channels + C, 2 H, 2 W).
    """

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        doubling = upsample("transposed", in_channels, out_channels, bias=False)
        self.model = nn.Sequential(doubling, *normalise("instance", out_channels), nn.ReLU(), *drop(dropout))

    def forward(self, image: Tensor, level: Tensor) -> Tensor:
        """Join what was decoded so far with the encoder's level."""
        return torch.cat([self.model(image), level], 1)


class UNetBlog(nn.Module):
    """U-Net of UNetDown and UNetUp blocks, ending with Upsample, ZeroPad2d, Conv2d and Tanh.

    Differs from `unet` in its last layer, in dropout in the encoder too, in activations before the skips and in
    instance norm. Level 4 and the deeper ones have dropout.

    Args:
        images: What the run's images are.
        depth: Number of halvings; 8 is the original.
        width: Channels of the first level; each level has twice the channels of the one before, up to eight times.
        dropout: Rate of the dropout.
        init_std: Standard deviation of the initial weights; the one bias keeps PyTorch's initial values.

    Raises:
        ComponentError: The images' sides are not multiples of 2**depth.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of 2**depth.
    Source: eriklindernoren/PyTorch-GAN, implementations/pix2pix, after Isola et al. 2017, arXiv:1611.07004.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        depth: Annotated[int, Field(ge=2, le=10, description="Number of halvings of the image's sides.")] = 8,
        width: Width = 64,
        dropout: Dropout = 0.5,
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        check_depth(images, depth)
        self.depth = depth
        self.multiple = 2**depth
        levels = [images.source.channels, *widths(width, depth, 8 * width)]
        for level in range(1, depth + 1):
            down = UNetDown(
                levels[level - 1], levels[level], norm=1 < level < depth, dropout=dropout if level >= 4 else 0.0
            )
            self.add_module(f"down{level}", down)
        for block in range(1, depth):
            level = depth - block
            in_channels = levels[level + 1] * (2 if block > 1 else 1)
            up = UNetUp(in_channels, levels[level], dropout=dropout if level >= 4 else 0.0)
            self.add_module(f"up{block}", up)
        last = nn.Conv2d(2 * width, images.target.channels, 4, padding=1)
        # an even kernel takes one row and one column, which the padding puts back at the top left
        self.final = nn.Sequential(nn.Upsample(scale_factor=2), nn.ZeroPad2d((1, 0, 1, 0)), last, nn.Tanh())
        initialise(self, init_std, biases=False)

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        levels = [source]
        for level in range(1, self.depth + 1):
            levels.append(self.get_submodule(f"down{level}")(levels[-1]))
        image = levels[-1]
        for block in range(1, self.depth):
            image = self.get_submodule(f"up{block}")(image, levels[self.depth - block])
        fake: Tensor = self.final(image)
        return fake
