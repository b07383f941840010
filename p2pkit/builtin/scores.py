"""Torchmetrics' classes for images as networks see them; imported only where a metric is built."""

from __future__ import annotations

from torch import Tensor
from torchmetrics import MeanAbsoluteError
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure, StructuralSimilarityIndexMeasure


class AbsoluteDifference(MeanAbsoluteError):  # type: ignore[misc]  # mypy does not follow torchmetrics
    """Mean absolute difference that takes any memory format."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch in."""
        super().update(preds.contiguous(), target.contiguous())


class Similarity(StructuralSimilarityIndexMeasure):  # type: ignore[misc]  # as above
    """Structural similarity of images in [-1, 1], which are brought to [0, 1]."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch in."""
        super().update((preds + 1) / 2, (target + 1) / 2)


class ScaledSimilarity(MultiScaleStructuralSimilarityIndexMeasure):  # type: ignore[misc]  # as above
    """Multi-scale structural similarity of images in [-1, 1], which are brought to [0, 1]."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch in."""
        super().update((preds + 1) / 2, (target + 1) / 2)
