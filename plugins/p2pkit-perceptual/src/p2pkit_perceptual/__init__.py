"""Perceptual losses: VGG features, LPIPS, DISTS and the focal frequency loss."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit
from p2pkit_perceptual.dists import Dists
from p2pkit_perceptual.frequency import FocalFrequency
from p2pkit_perceptual.lpips import Lpips
from p2pkit_perceptual.vgg import Vgg

__version__ = "0.1.0"


@p2pkit.hookimpl
def p2pkit_losses() -> Iterator[p2pkit.Loss]:
    """Offer the losses."""
    yield p2pkit.Loss("vgg", Vgg)
    yield p2pkit.Loss("lpips", Lpips)
    yield p2pkit.Loss("dists", Dists)
    yield p2pkit.Loss("focal_frequency", FocalFrequency)
