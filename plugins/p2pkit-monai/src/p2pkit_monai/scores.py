"""Torchmetrics' classes in other units; imported only where a metric is built."""

from __future__ import annotations

from torch import Tensor
from torchmetrics import MeanAbsoluteError


class DifferenceInUnits(MeanAbsoluteError):  # type: ignore[misc]  # mypy does not follow torchmetrics
    """Mean absolute difference of images in [-1, 1], in the units that these stand for.

    Args:
        low: What -1 stands for.
        high: What 1 stands for.
    """

    higher_is_better = False

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.scale = (high - low) / 2

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch in."""
        super().update(preds.contiguous() * self.scale, target.contiguous() * self.scale)

    @property
    def protocol(self) -> dict[str, float]:
        """What the value depends on: the width of the window."""
        return {"width": 2 * self.scale}
