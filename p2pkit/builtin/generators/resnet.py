"""The reference's ResNet generator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from p2pkit import PairSpec
from p2pkit.layers import (
    Bias,
    Dropout,
    Final,
    InitStd,
    Norm,
    Padding,
    ResidualBlock,
    Upsampling,
    Width,
    activation,
    check_sides,
    initialise,
    needs_bias,
    normalise,
    same_convolution,
    upsample,
)


class ResNet(nn.Module):
    """The reference's ResNet generator: two halvings, residual blocks, two doublings.

    Args:
        images: What the run's images are.
        blocks: Number of residual blocks.
        width: Channels at full size; the blocks have four times as many.
        norm: Normalisation.
        bias: Whether the convolutions have biases; the image's own always has one. By default where the norm has none.
        dropout: Rate of the dropout inside the blocks.
        padding: What the blocks' and the ends' convolutions see beyond the border.
        upsampling: How the sides are doubled.
        final: Activation of the last layer.
        init_std: Standard deviation of the initial weights.

    Raises:
        ComponentError: The images' sides are not multiples of 4, or under 8.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of 4.
    Source: Johnson et al. 2016, arXiv:1603.08155, supplement; Zhu et al. 2017, arXiv:1703.10593, section 7.2.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        blocks: Annotated[int, Field(ge=1, le=64, description="Number of residual blocks.")] = 9,
        width: Width = 64,
        norm: Norm = "batch",
        bias: Bias = None,
        dropout: Dropout = 0.5,
        padding: Padding = "reflect",
        upsampling: Upsampling = "transposed",
        final: Final = "tanh",
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        self.multiple = 4
        check_sides(images, "resnet", 4, least=8)  # blocks of one pixel have nothing to reflect
        biased = needs_bias(norm, bias)
        layers: list[nn.Module] = [same_convolution(images.source.channels, width, 7, padding=padding, bias=biased)]
        layers += [*normalise(norm, width), nn.ReLU()]
        for channels in (width, 2 * width):
            halving = nn.Conv2d(channels, 2 * channels, 3, 2, 1, bias=biased)
            layers += [halving, *normalise(norm, 2 * channels), nn.ReLU()]
        layers += [ResidualBlock(4 * width, norm, dropout=dropout, padding=padding, bias=biased) for _ in range(blocks)]
        for channels in (2 * width, width):
            doubling = upsample(upsampling, 2 * channels, channels, bias=biased, kernel=3)
            layers += [doubling, *normalise(norm, channels), nn.ReLU()]
        last = same_convolution(width, images.target.channels, 7, padding=padding)
        layers += [last, activation(final)]
        self.model = nn.Sequential(*layers)
        initialise(self, init_std)

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        fake: Tensor = self.model(source)
        return fake
