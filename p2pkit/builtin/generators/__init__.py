"""Generators of the paper and its best known reimplementations."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit
from p2pkit.builtin.generators.fcn import FCN
from p2pkit.builtin.generators.resnet import ResNet
from p2pkit.builtin.generators.unet import UNet
from p2pkit.builtin.generators.unet_blog import UNetBlog


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer the built-in generators."""
    yield p2pkit.Generator("unet", UNet, extras={"z": p2pkit.VectorSpec(4, "noise")})
    yield p2pkit.Generator("unet_blog", UNetBlog)
    yield p2pkit.Generator("resnet", ResNet)
    yield p2pkit.Generator("fcn", FCN)
