"""What both generators are made of: convolutions, residual blocks, halvings and doublings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from p2pkit import ComponentError, PairSpec
from pydantic import Field
from torch import Tensor, nn

Norm = Annotated[
    Literal["instance", "batch", "none"], Field(description="Normalisation that follows the convolutions.")
]
Padding = Annotated[
    Literal["reflect", "replicate", "zeros"],
    Field(description="What the residual blocks and the first and last convolution see beyond an image's border."),
]
Upsampling = Annotated[
    Literal["transposed", "nearest", "bilinear"],
    Field(description="How sides are doubled; all but transposed start free of checkerboards."),
]
InitStd = Annotated[float, Field(gt=0, le=1, description="Standard deviation of the initial weights.")]


@dataclass(frozen=True)
class Style:
    """The choices that all parts of a generator share; the methods build its layers.

    Args:
        norm: Normalisation after each convolution.
        padding: What lies beyond the border.
        upsampling: How sides are doubled.
    """

    norm: str
    padding: Literal["reflect", "replicate", "zeros"]
    upsampling: str

    def same(self, inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
        """Return a convolution that keeps the size."""
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode=self.padding)

    def normalised(self, convolution: nn.Module, channels: int) -> list[nn.Module]:
        """Return a convolution and its normalisation, as a list to unpack."""
        norms = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}
        return [convolution, norms[self.norm](channels)] if self.norm in norms else [convolution]

    def first(self, inputs: int, outputs: int) -> nn.Sequential:
        """Return the 7 x 7 layer that meets the source: c7s1 in the paper's notation."""
        return nn.Sequential(*self.normalised(self.same(inputs, outputs, 7), outputs), nn.ReLU())

    def down(self, channels: int) -> nn.Sequential:
        """Return a layer that halves the sides and doubles the channels."""
        convolution = nn.Conv2d(channels, 2 * channels, 3, 2, 1)
        return nn.Sequential(*self.normalised(convolution, 2 * channels), nn.ReLU())

    def up(self, channels: int) -> nn.Sequential:
        """Return a layer that doubles the sides and halves the channels."""
        half = channels // 2
        if self.upsampling == "transposed":
            return nn.Sequential(
                *self.normalised(nn.ConvTranspose2d(channels, half, 3, 2, 1, output_padding=1), half), nn.ReLU()
            )
        enlarge = nn.Upsample(scale_factor=2, mode=self.upsampling)
        return nn.Sequential(enlarge, *self.normalised(nn.Conv2d(channels, half, 3, padding=1), half), nn.ReLU())


class ResidualBlock(nn.Module):
    """Two convolutions whose outcome is added to their input.

    Args:
        channels: Channels in and out.
        style: Normalisation and padding.

    Shape: (B, channels, H, W) -> the same.
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        first, second = (style.normalised(style.same(channels, channels, 3), channels) for _ in range(2))
        self.model = nn.Sequential(*first, nn.ReLU(), *second)

    def forward(self, image: Tensor) -> Tensor:
        """Add the change to the input."""
        changed: Tensor = image + self.model(image)
        return changed


def initialise(network: nn.Module, std: float) -> None:
    """Draw convolutions from N(0, std) and the norms' weights from N(1, std); biases are zero.

    Source: Wang et al. 2018, arXiv:1711.11585, appendix (training details).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def check_sides(images: PairSpec, multiple: int, name: str) -> None:
    """Refuse sides that halvings and doublings would change, and those that leave one pixel in the middle.

    Args:
        images: What the run's images are.
        multiple: What the sides must be multiples of.
        name: The generator's name.

    Raises:
        ComponentError: A side is no such multiple, or only once it.
    """
    sides = images.height, images.width
    if all(side % multiple == 0 and side >= 2 * multiple for side in sides):
        return
    fitting = " x ".join(str(max(2, round(side / multiple)) * multiple) for side in sides)
    raise ComponentError(
        f"{name} needs sides that are multiples of {multiple} and at least {2 * multiple}, "
        f"the images are {images.height} x {images.width}",
        remedy=f"resize the images, for instance to {fitting}, or use fewer halvings",
        parameter="halvings",
    )
