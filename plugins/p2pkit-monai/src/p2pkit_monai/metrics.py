"""Metrics in the units of the targets."""

from __future__ import annotations

from torch import nn

from p2pkit import ComponentError, PairSpec


def mae_hu(images: PairSpec) -> nn.Module:
    """Mean absolute difference in the units of the targets: Hounsfield units for CT.

    What a target's window cuts off is not in it.

    Args:
        images: What the run's images are.

    Returns:
        The metric; lower is better.

    Raises:
        ComponentError: The targets are labels.
    """
    from p2pkit_monai.scores import DifferenceInUnits

    target = images.target
    if target.kind == "labels":
        raise ComponentError("mae_hu measures intensities, and the targets are labels", remedy="use segmentation")
    return DifferenceInUnits(target.low, target.high)
