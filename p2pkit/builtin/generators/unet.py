"""The paper's U-Net and its encoder-decoder."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec
from p2pkit.layers import (
    Bias,
    Condition,
    Dropout,
    FiLM,
    Final,
    InitStd,
    Norm,
    Upsampling,
    Width,
    activation,
    check_depth,
    condition_size,
    drop,
    initialise,
    needs_bias,
    normalise,
    upsample,
    widths,
)

ALIASES = {8: "unet_256", 7: "unet_128", 6: "unet_64"}


class UNet(nn.Module):
    """The paper's U-Net: halvings down to a bottleneck, doublings back up, with skip connections.

    With the defaults it is the reference's generator for sides of 256; without `skips`, the paper's encoder-decoder.
    Decoder blocks are counted from the bottleneck: block 1 doubles the bottleneck, block `depth` makes the image.

    Args:
        images: What the run's images are.
        depth: Number of halvings.
        width: Channels of the first level; each level has twice the channels of the one before.
        max_width: Channels that no level exceeds, by default eight times `width`.
        norm: Normalisation; the first level and the bottleneck have none.
        bias: Whether the convolutions have biases; the image's own always has one. By default where the norm has none.
        dropout: Rate of the dropout.
        dropout_blocks: Decoder blocks with dropout; by default the reference's, 2 to `depth` - 4. The paper's own
            code has 1, 2 and 3.
        upsampling: How the decoder doubles the sides.
        skips: Whether the decoder sees the encoder's levels.
        final: Activation of the last layer.
        init_std: Standard deviation of the initial weights.
        condition: Vector beside the images by which each level of the decoder is scaled and shifted; none by default.

    Raises:
        ComponentError: The images' sides are not multiples of 2**depth, a dropout block does not exist, or there is no
            vector to condition on.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of 2**depth.
    Source: Isola et al. 2017, arXiv:1611.07004, section 6.1.1.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        depth: Annotated[int, Field(ge=2, le=10, description="Number of halvings of the image's sides.")] = 8,
        width: Width = 64,
        max_width: Annotated[
            int | None, Field(ge=1, le=8192, description="Channels that no level exceeds; by default 8 x width.")
        ] = None,
        norm: Norm = "batch",
        bias: Bias = None,
        dropout: Dropout = 0.5,
        dropout_blocks: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...] | None,
            Field(description="Decoder blocks with dropout, from the bottleneck; by default 2 to depth - 4."),
        ] = None,
        upsampling: Upsampling = "transposed",
        skips: Annotated[bool, Field(description="Whether the decoder sees the encoder's levels.")] = True,
        final: Final = "tanh",
        init_std: InitStd = 0.02,
        condition: Condition = None,
    ) -> None:
        super().__init__()
        check_depth(images, depth, ALIASES)
        places = range(2, depth - 3) if dropout_blocks is None else _existing(dropout_blocks, depth)
        levels = widths(width, depth, 8 * width if max_width is None else max_width)
        biased = needs_bias(norm, bias)
        self.multiple = 2**depth
        self.skips = skips
        self.down = nn.ModuleList([nn.Sequential(_halve(images.source.channels, levels[0], biased))])
        for level in range(1, depth):
            layers = normalise(norm, levels[level]) if level < depth - 1 else ()
            halving = _halve(levels[level - 1], levels[level], biased)
            self.down.append(nn.Sequential(nn.LeakyReLU(0.2), halving, *layers))
        self.up = nn.ModuleList()
        for block in range(1, depth):
            in_channels = levels[-block] * (2 if skips and block > 1 else 1)
            out_channels = levels[-block - 1]
            doubling = upsample(upsampling, in_channels, out_channels, bias=biased)
            drops = drop(dropout if block in places else 0.0)
            self.up.append(nn.Sequential(nn.ReLU(), doubling, *normalise(norm, out_channels), *drops))
        last = upsample(upsampling, levels[0] * (2 if skips else 1), images.target.channels, bias=True)
        self.up.append(nn.Sequential(nn.ReLU(), last, activation(final)))
        initialise(self, init_std)
        self.condition = condition
        if condition is not None:
            self.takes = (condition,)
            size = condition_size(images, condition)
            self.films = nn.ModuleList([FiLM(size, levels[-block - 1], init_std) for block in range(1, depth)])

    def forward(self, source: Tensor, **extras: Tensor) -> Tensor:
        """Make a fake of a source."""
        image, levels = source, []
        for halve in self.down:
            image = halve(image)
            levels.append(image)
        levels.pop()
        for block, double in enumerate(self.up):
            image = double(image)
            if levels:
                if self.condition is not None:
                    image = self.films[block](image, extras[self.condition])
                level = levels.pop()
                image = torch.cat([level, image], 1) if self.skips else image
        return image


def _halve(in_channels: int, out_channels: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 4, 2, 1, bias=bias)


def _existing(blocks: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Refuse dropout in blocks that do not exist, or in the last one, which makes the image."""
    beyond = [block for block in blocks if block >= depth]
    if beyond:
        raise ComponentError(
            f"depth {depth} has no decoder block {beyond[0]} that could have dropout",
            remedy=f"use blocks from 1 to {depth - 1}; block {depth} makes the image",
            parameter="dropout_blocks",
        )
    return blocks
