"""Normalisation, and whether the convolution before it needs a bias."""

from __future__ import annotations

import math

from torch import nn


def normalise(norm: str, channels: int, *, affine: bool = False) -> tuple[nn.Module, ...]:
    """Return the normalisation layer as a tuple to unpack, empty for `none`.

    Args:
        norm: One of `Norm`; group norm has up to 32 groups.
        channels: Channels of what is normalised.
        affine: Whether instance norm has weights of its own; batch and group norm always have.

    Returns:
        The layer, if any.

    Source: Isola et al. 2017, arXiv:1611.07004, section 6.1; Wu and He 2018, arXiv:1803.08494, section 3.
    """
    if norm == "batch":
        return (nn.BatchNorm2d(channels),)
    if norm == "instance":
        return (nn.InstanceNorm2d(channels, affine=affine),)
    if norm == "group":
        return (nn.GroupNorm(math.gcd(32, channels), channels),)
    return ()


def needs_bias(norm: str, bias: bool | None = None, *, affine: bool = False) -> bool:
    """Whether convolutions have a bias: unless that is said, where no norm after them brings one.

    Args:
        norm: One of `Norm`.
        bias: What the user said, if anything.
        affine: Whether instance norm has weights of its own.
    """
    return norm == "none" or (norm == "instance" and not affine) if bias is None else bias
