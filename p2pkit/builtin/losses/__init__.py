"""Losses: the adversarial game, distances to the target, and penalties on the discriminator."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit
from p2pkit.builtin.losses.adversarial import GanLoss
from p2pkit.builtin.losses.classes import CrossEntropy
from p2pkit.builtin.losses.distances import FeatureMatching, TotalVariation, charbonnier, l1, l2, ssim
from p2pkit.builtin.losses.penalties import R1, GradientPenalty


@p2pkit.hookimpl
def p2pkit_losses() -> Iterator[p2pkit.Loss]:
    """Offer the built-in losses."""
    yield p2pkit.Loss("gan", GanLoss)
    yield p2pkit.Loss("l1", l1)
    yield p2pkit.Loss("l2", l2)
    yield p2pkit.Loss("cross_entropy", CrossEntropy)
    yield p2pkit.Loss("charbonnier", charbonnier)
    yield p2pkit.Loss("ssim", ssim)
    yield p2pkit.Loss("feature_matching", FeatureMatching)
    yield p2pkit.Loss("total_variation", TotalVariation)
    yield p2pkit.Loss("r1", R1)
    yield p2pkit.Loss("gradient_penalty", GradientPenalty)
