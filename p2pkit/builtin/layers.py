"""What the built-in networks share: parameters, normalisation, upsampling, initial weights, checks of the size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec

Width = Annotated[int, Field(ge=1, le=1024, description="Channels of the first level.")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="Share of activations that dropout sets to zero.")]
InitStd = Annotated[float, Field(gt=0, le=1, description="Standard deviation of the initial weights.")]
Norm = Annotated[
    Literal["batch", "instance", "group", "none"], Field(description="Normalisation that follows the convolutions.")
]
Bias = Annotated[
    bool | None,
    Field(description="Whether the convolutions have biases; by default where the norm after them has none."),
]
Upsampling = Annotated[
    Literal["transposed", "nearest", "bilinear", "pixel_shuffle"],
    Field(description="How the decoder doubles an image's sides; all but transposed start free of checkerboards."),
]
Padding = Annotated[
    Literal["reflect", "replicate", "zeros"], Field(description="What convolutions see beyond an image's border.")
]
Final = Annotated[
    Literal["tanh", "linear", "softmax"],
    Field(description="Activation of the last layer; softmax gives one plane a class, for targets that are labels."),
]


class ClassPlanes(nn.Module):
    """Softmax over the channels, brought to the range of images.

    Shape: (B, C, H, W) of any value -> (B, C, H, W) in [-1, 1].
    """

    def forward(self, logits: Tensor) -> Tensor:
        """Turn logits into planes."""
        return 2 * logits.softmax(1) - 1


class PixelShuffleUp(nn.Sequential):
    """Double the sides by a convolution to four times the channels, which become the four pixels of each square.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        bias: Whether the convolution has one.

    Shape: (B, inputs, H, W) -> (B, outputs, 2 H, 2 W).
    Source: Shi et al. 2016, arXiv:1609.05158, section 3.2; Aitken et al. 2017, arXiv:1707.02937, section 3 (ICNR).
    """

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__(nn.Conv2d(inputs, 4 * outputs, 3, padding=1, bias=bias), nn.PixelShuffle(2))

    @torch.no_grad()
    def equalise(self) -> None:
        """Give the four pixels of a square the same weights, so that nothing tells them apart at the start."""
        weight = self.get_parameter("0.weight")
        weight.copy_(weight[::4].repeat_interleave(4, 0))


def normalise(norm: str, channels: int) -> tuple[nn.Module, ...]:
    """Return the normalisation layer as a tuple to unpack, empty for `none`.

    Instance norm has no weights of its own; group norm has up to 32 groups.

    Source: Isola et al. 2017, arXiv:1611.07004, section 6.1; Wu and He 2018, arXiv:1803.08494, section 3.
    """
    if norm == "batch":
        return (nn.BatchNorm2d(channels),)
    if norm == "instance":
        return (nn.InstanceNorm2d(channels),)
    if norm == "group":
        return (nn.GroupNorm(math.gcd(32, channels), channels),)
    return ()


def needs_bias(norm: str, bias: bool | None = None) -> bool:
    """Whether convolutions have a bias; unless that is said, the reference leaves it to the norm where that has one."""
    return norm in ("instance", "none") if bias is None else bias


def upsample(kind: str, inputs: int, outputs: int, *, bias: bool, kernel: int = 4) -> nn.Module:
    """Return a layer that doubles the sides.

    Args:
        kind: One of `Upsampling`.
        inputs: Channels in.
        outputs: Channels out.
        bias: Whether its convolution has one.
        kernel: Side of the transposed convolution's kernel, 3 or 4; the other kinds convolve 3 x 3.

    Returns:
        The layer.

    Shape: (B, inputs, H, W) -> (B, outputs, 2 H, 2 W).
    """
    if kind == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, kernel, 2, 1, output_padding=kernel % 2, bias=bias)
    if kind == "pixel_shuffle":
        return PixelShuffleUp(inputs, outputs, bias)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=kind), nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias))


def activation(final: str) -> nn.Module:
    """Return a generator's last layer by its name."""
    return {"tanh": nn.Tanh, "linear": nn.Identity, "softmax": ClassPlanes}[final]()


def initialise(network: nn.Module, std: float, *, biases: bool = True) -> None:
    """Set a network's initial weights.

    Convolutions are drawn from N(0, std), the norms' weights from N(1, std), biases are zero.

    Args:
        network: The network.
        std: The standard deviation.
        biases: Whether biases are set to zero; else they keep PyTorch's own initial values.

    Source: Isola et al. 2017, arXiv:1611.07004, section 6.2.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if biases and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, PixelShuffleUp):
            module.equalise()


def check_depth(images: PairSpec, depth: int, aliases: Mapping[int, str] | None = None) -> None:
    """Refuse a depth whose halvings the images' sides do not allow.

    Args:
        images: What the run's images are.
        depth: Number of halvings.
        aliases: Names of ready-made networks by their depth, for the remedy.

    Raises:
        ComponentError: The sides are not multiples of 2**depth.
    """
    multiple = 2**depth
    if images.height % multiple == 0 and images.width % multiple == 0:
        return
    common = math.gcd(images.height, images.width)
    fitting = (common & -common).bit_length() - 1
    name = (aliases or {}).get(fitting)
    deepest = f"use depth {fitting} or less" + (f" ({name})" if name else "") + ", or " if fitting >= 2 else ""
    raise ComponentError(
        f"depth {depth} needs sides that are multiples of {multiple}, the images are {images.height} x {images.width}",
        remedy=f"{deepest}resize the images, for instance to {nearest(images, multiple)}",
        parameter="depth",
    )


def nearest(images: PairSpec, multiple: int, least: int = 1) -> str:
    """Name the size closest to the images' whose sides are multiples of a number and not under `least`."""
    sides = (max(least, multiple, round(side / multiple) * multiple) for side in (images.height, images.width))
    return " x ".join(map(str, sides))
