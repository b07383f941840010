"""From a decoder's features to an image of full size."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import nn

from p2pkit.layers import activation, normalise

LEAST = 32


def make_head(in_channels: int, out_channels: int, doublings: int, norm: str, final: str) -> nn.Sequential:
    """Return a head that doubles the sides step by step, with a convolution at every size, the full one included.

    The library's own heads for decoders that end at a half or a quarter of the size enlarge the finished image,
    which no detail can come out of.

    Args:
        in_channels: Channels of the decoder's features.
        out_channels: Channels of the image.
        doublings: How often the sides are doubled.
        norm: Normalisation after the convolutions.
        final: Last activation: tanh, linear or softmax.

    Shape: (B, in_channels, H, W) -> (B, out_channels, 2**doublings H, 2**doublings W).
    """
    widths = [max(min(in_channels, LEAST), in_channels // 2**step) for step in range(doublings + 1)]
    layers: list[nn.Module] = []
    for before, width in pairwise(widths):
        doubling = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
        layers += [doubling, convolution, normalisation(norm, width), nn.ReLU()]
    last = nn.Conv2d(widths[-1], out_channels, 3, padding=1)
    layers.append(last)
    for layer in layers[:-1]:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    nn.init.normal_(last.weight, 0, 0.02)  # small, so that tanh does not begin saturated
    nn.init.zeros_(last.get_parameter("bias"))
    return nn.Sequential(*layers, activation(final))


def normalisation(norm: str, channels: int) -> nn.Module:
    """Return a normalisation layer; group norm has up to 32 groups."""
    return group(channels) if norm == "group" else normalise(norm, channels, affine=True)[0]


def group(channels: int) -> nn.GroupNorm:
    """Return group norm of up to 32 groups, for which one pixel of one image is enough.

    Args:
        channels: Channels of what is normalised; a group never has one alone.
    """
    groups = math.gcd(32, channels)
    return nn.GroupNorm(groups if groups < channels else 1, channels)


def renormalise(decoder: nn.Module, norm: str) -> None:
    """Give a decoder the wanted norm in place of batch norm, and group norm behind global pooling.

    Behind global pooling one pixel an image is left, of which batch norm can't be computed when a batch has one pair.

    Args:
        decoder: The library's decoder.
        norm: What its norms shall be.
    """
    pooled = [m for m in decoder.modules() if isinstance(m, nn.Sequential) and len(m) and _pools(m[0])]
    for sequence in pooled:
        _replace(sequence, "group")
    if norm != "batch":
        _replace(decoder, norm)


def _pools(module: nn.Module) -> bool:
    return isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1))


def _replace(module: nn.Module, norm: str) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, normalisation(norm, child.num_features))
        else:
            _replace(child, norm)
