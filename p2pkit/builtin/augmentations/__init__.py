"""Augmentations of a batch on the device; geometry is the same for source and target."""

from __future__ import annotations

from collections.abc import Iterable

import p2pkit
from p2pkit.builtin.augmentations.colour import ColourJitter
from p2pkit.builtin.augmentations.geometric import Affine, Crop, Flip, JitterCrop, Rotate90


@p2pkit.hookimpl
def p2pkit_augmentations() -> Iterable[p2pkit.Augmentation]:
    """Offer the built-in augmentations."""
    yield p2pkit.Augmentation("jitter_crop", JitterCrop)
    yield p2pkit.Augmentation("crop", Crop)
    yield p2pkit.Augmentation("flip", Flip)
    yield p2pkit.Augmentation("rotate90", Rotate90)
    yield p2pkit.Augmentation("affine", Affine)
    yield p2pkit.Augmentation("colour_jitter", ColourJitter)
