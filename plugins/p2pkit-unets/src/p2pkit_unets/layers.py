"""What the four networks are made of: convolution blocks, the encoder, enlarging, initial weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn


def normalise(norm: str, channels: int) -> list[nn.Module]:
    """Return the normalisation as a list to unpack, empty for `none`; all have weights, group norm up to 32 groups."""
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    if norm == "instance":
        return [nn.InstanceNorm2d(channels, affine=True)]
    if norm == "group":
        return [nn.GroupNorm(math.gcd(32, channels), channels)]
    return []


def convolve(inputs: int, outputs: int, norm: str) -> list[nn.Module]:
    """Return a 3 x 3 convolution, its norm and a ReLU; the norm's bias, where there is one, stands for both."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=norm == "none")
    return [convolution, *normalise(norm, outputs), nn.ReLU()]


def drop(rate: float) -> list[nn.Module]:
    """Return dropout as a list to unpack, empty at a rate of 0."""
    return [nn.Dropout(rate)] if rate else []


class Node(nn.Sequential):
    """Two 3 x 3 convolutions, each with its norm and ReLU, then dropout where it is asked for.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        norm: Normalisation.
        dropout: Rate of the dropout at the end; none at 0.

    Shape: (B, inputs, H, W) -> (B, outputs, H, W), 0 and more.
    """

    def __init__(self, inputs: int, outputs: int, norm: str, dropout: float = 0.0) -> None:
        layers = *convolve(inputs, outputs, norm), *convolve(outputs, outputs, norm), *drop(dropout)
        super().__init__(*layers)


class Encoder(nn.Module):
    """The way down that three of the papers share: a node a level, and 2 x 2 max pooling between them.

    Args:
        inputs: Channels in.
        levels: Channels of each level, full size first.
        norm: Normalisation.

    Shape: (B, inputs, H, W) -> one tensor a level k, (B, levels[k], H / 2**k, W / 2**k).
    """

    def __init__(self, inputs: int, levels: Sequence[int], norm: str) -> None:
        super().__init__()
        before = [inputs, *levels]
        self.nodes = nn.ModuleList(Node(before[k], level, norm) for k, level in enumerate(levels))
        self.pool = nn.MaxPool2d(2)

    def forward(self, source: Tensor) -> list[Tensor]:
        """Return what each level sees, full size first."""
        levels = [self.nodes[0](source)]
        for node in list(self.nodes)[1:]:
            levels.append(node(self.pool(levels[-1])))
        return levels


def double(kind: str, inputs: int, outputs: int) -> tuple[nn.Module, int]:
    """Return a layer that doubles the sides, and its channels out: an interpolation keeps those that came in.

    Args:
        kind: `nearest`, `bilinear` or `transposed`.
        inputs: Channels in.
        outputs: Channels out of the transposed convolution.

    Returns:
        The layer and the number of its channels.

    Shape: (B, inputs, H, W) -> (B, the returned number, 2 H, 2 W).
    """
    if kind == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 2, 2), outputs
    return enlarge(kind, 2), inputs


def enlarge(kind: str, factor: int) -> nn.Module:
    """Return an interpolation, `nearest` or `bilinear`, that multiplies the sides."""
    return nn.Upsample(scale_factor=factor, mode=kind)


def initialise(network: nn.Module, std: float) -> None:
    """Draw convolutions from N(0, std) and the norms' weights from N(1, std); set biases to zero.

    Source: Isola et al. 2017, arXiv:1611.07004, section 6.2.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
