"""The U-Net that is given noise beside its source."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from p2pkit import PairSpec
from p2pkit.layers import (
    Dropout,
    InitStd,
    Norm,
    Upsampling,
    Width,
    check_depth,
    condition_size,
    drop,
    initialise,
    needs_bias,
    normalise,
    upsample,
    widths,
)
from pydantic import Field
from torch import Tensor, nn

NoiseName = Annotated[str, Field(min_length=1, description="What the config's `noise` calls the vector.")]


class BicycleUNet(nn.Module):
    """BicycleGAN's U-Net: noise stands as further planes beside the source, or beside the input of every halving.

    Args:
        images: What the run's images are.
        noise: What the config calls the noise.
        inject: Where the noise is given: to every halving, or to the first alone.
        depth: Number of halvings.
        width: Channels of the first level; each level has twice the channels of the one before, up to eight times.
        norm: Normalisation; the first level and the bottleneck have none.
        dropout: Rate of the dropout in decoder blocks 2 to `depth` - 4.
        upsampling: How the decoder doubles the sides.
        init_std: Standard deviation of the initial weights.

    Raises:
        p2pkit.ComponentError: The images' sides are not multiples of 2**depth, or there is no such noise.

    Shape: source (B, C_source, H, W) in [-1, 1], noise (B, size) -> fake (B, C_target, H, W) in [-1, 1]; H, W
    multiples of 2**depth.
    Source: Zhu et al. 2017, arXiv:1711.11586, section 3.4 and figure 3; junyanz/BicycleGAN.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        noise: NoiseName = "z",
        inject: Annotated[
            Literal["all", "input"], Field(description="Whether every halving is given the noise, or the first alone.")
        ] = "all",
        depth: Annotated[int, Field(ge=2, le=10, description="Number of halvings of the image's sides.")] = 8,
        width: Width = 64,
        norm: Norm = "instance",
        dropout: Dropout = 0.0,
        upsampling: Upsampling = "transposed",
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        check_depth(images, depth)
        self.takes = (noise,)
        self.noise, self.inject, self.multiple = noise, inject, 2**depth
        size = condition_size(images, noise, "noise")
        levels, bias = widths(width, depth, 8 * width), needs_bias(norm)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, channels in enumerate(levels):
            inputs = images.source.channels if level == 0 else levels[level - 1]
            seen = inputs + (size if level == 0 or inject == "all" else 0)
            norms = normalise(norm, channels) if 0 < level < depth - 1 else ()
            active = [nn.LeakyReLU(0.2)] if level else []
            self.down.append(nn.Sequential(*active, nn.Conv2d(seen, channels, 4, 2, 1, bias=bias), *norms))
        for block in range(1, depth):
            inputs, channels = levels[-block] * (2 if block > 1 else 1), levels[-block - 1]
            drops = drop(dropout if 2 <= block <= depth - 4 else 0.0)
            doubling = upsample(upsampling, inputs, channels, bias=bias)
            self.up.append(nn.Sequential(nn.ReLU(), doubling, *normalise(norm, channels), *drops))
        last = upsample(upsampling, 2 * levels[0], images.target.channels, bias=True)
        self.up.append(nn.Sequential(nn.ReLU(), last, nn.Tanh()))
        initialise(self, init_std)

    def forward(self, source: Tensor, **extras: Tensor) -> Tensor:
        """Make a fake of a source and of noise."""
        noise, image = extras[self.noise][:, :, None, None], source
        levels: list[Tensor] = []
        for level, halve in enumerate(self.down):
            if level == 0 or self.inject == "all":
                image = torch.cat([image, noise.to(image.dtype).expand(-1, -1, *image.shape[2:])], 1)
            image = halve(image)
            levels.append(image)
        image = levels.pop()
        for double in self.up:
            image = double(image)
            image = torch.cat([image, levels.pop()], 1) if levels else image
        return image
