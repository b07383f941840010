"""BicycleGAN for p2pkit: a U-Net with noise at every level, its two PatchGANs, and the loss of both cycles."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit

from p2pkit_bicycle.discriminator import PatchPair
from p2pkit_bicycle.encoder import NoiseEncoder
from p2pkit_bicycle.generator import BicycleUNet
from p2pkit_bicycle.loss import Bicycle

P2PKIT_PLUGIN_API = 2

__all__ = ["Bicycle", "BicycleUNet", "NoiseEncoder", "PatchPair"]

_NOISE = {"z": p2pkit.VectorSpec(8, "noise")}


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer the generator."""
    yield p2pkit.Generator("bicycle_unet", BicycleUNet, extras=_NOISE)


@p2pkit.hookimpl
def p2pkit_discriminators() -> Iterator[p2pkit.Discriminator]:
    """Offer the discriminator."""
    yield p2pkit.Discriminator("bicycle_patch", PatchPair)


@p2pkit.hookimpl
def p2pkit_losses() -> Iterator[p2pkit.Loss]:
    """Offer the loss."""
    yield p2pkit.Loss("bicycle", Bicycle, extras=_NOISE)
