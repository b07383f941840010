"""The reference's ResNet generator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec
from p2pkit.builtin.layers import (
    Bias,
    Dropout,
    Final,
    InitStd,
    Norm,
    Padding,
    Upsampling,
    Width,
    activation,
    initialise,
    nearest,
    needs_bias,
    normalise,
    upsample,
)


class ResidualBlock(nn.Module):
    """Two convolutions whose outcome is added to their input.

    Args:
        channels: Channels in and out.
        norm: Normalisation after each convolution.
        dropout: Rate of the dropout between them; none at 0.
        padding: What lies beyond the border.
        bias: Whether the convolutions have one.

    Shape: (B, channels, H, W) -> the same.
    """

    def __init__(self, channels: int, norm: str, dropout: float, padding: Padding, bias: bool) -> None:
        super().__init__()
        drops = [nn.Dropout(dropout)] if dropout else []
        first, second = (_convolution(channels, channels, 3, padding, bias) for _ in range(2))
        norms = normalise(norm, channels), normalise(norm, channels)
        self.model = nn.Sequential(first, *norms[0], nn.ReLU(), *drops, second, *norms[1])

    def forward(self, image: Tensor) -> Tensor:
        """Add the change to the input."""
        changed: Tensor = image + self.model(image)
        return changed


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
        _check_sides(images)
        biased = needs_bias(norm, bias)
        layers: list[nn.Module] = [_convolution(images.source.channels, width, 7, padding, biased)]
        layers += [*normalise(norm, width), nn.ReLU()]
        for inputs in (width, 2 * width):
            layers += [nn.Conv2d(inputs, 2 * inputs, 3, 2, 1, bias=biased), *normalise(norm, 2 * inputs), nn.ReLU()]
        layers += [ResidualBlock(4 * width, norm, dropout, padding, biased) for _ in range(blocks)]
        for outputs in (2 * width, width):
            doubling = upsample(upsampling, 2 * outputs, outputs, bias=biased, kernel=3)
            layers += [doubling, *normalise(norm, outputs), nn.ReLU()]
        layers += [_convolution(width, images.target.channels, 7, padding, bias=True), activation(final)]
        self.model = nn.Sequential(*layers)
        initialise(self, init_std)

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        fake: Tensor = self.model(source)
        return fake


def _convolution(inputs: int, outputs: int, kernel: int, padding: Padding, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode=padding, bias=bias)


def _check_sides(images: PairSpec) -> None:
    """Refuse sides that two halvings and doublings would change, and blocks of one pixel, where nothing reflects."""
    if images.height % 4 or images.width % 4 or min(images.height, images.width) < 8:
        size = f"{images.height} x {images.width}"
        raise ComponentError(
            f"resnet needs sides that are multiples of 4 and at least 8, the images are {size}",
            remedy=f"resize the images, for instance to {nearest(images, 4, least=8)}",
        )
