"""Scores of classes, counted in a confusion matrix by torchmetrics; imported only where a metric is built."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from p2pkit import ImageSpec, fingerprint


class ClassScores(MulticlassConfusionMatrix):  # type: ignore[misc]  # mypy does not follow torchmetrics
    """Pixel accuracy, mean accuracy of the classes, and their mean intersection over union.

    Args:
        labels: What the true labels are; pixels of its unlabelled classes are passed over.

    Shape: planes of each class (B, C, H, W).
    """

    higher_is_better = True

    def __init__(self, labels: ImageSpec) -> None:
        super().__init__(labels.channels, ignore_index=-1, validate_args=False)
        known = [index not in labels.unlabelled for index in range(labels.channels)]
        self.register_buffer("known", torch.tensor(known), persistent=False)

    def update(self, planes: Tensor, labels: Tensor) -> None:
        """Count a batch in."""
        truth = labels.argmax(1)
        super().update(planes.argmax(1), torch.where(self.known[truth] & (labels.amax(1) > 0), truth, -1))

    def compute(self) -> dict[str, Tensor]:
        """Return the three scores; a class that is neither there nor predicted has no say in the means."""
        counts = super().compute().double()
        right, there = counts.diagonal(), counts.sum(1)
        either = there + counts.sum(0) - right
        return {
            "pixel_accuracy": right.sum() / there.sum(),
            "class_accuracy": (right / there)[self.known].nanmean(),
            "class_iou": (right / either)[self.known].nanmean(),
        }


class NetworkScores(ClassScores):
    """The same scores of what a segmentation network sees in the fakes, against the labels that they were made of.

    Args:
        labels: What the sources are.
        network: Makes planes of classes of images in [-1, 1].
    """

    wants = ("fake", "source")

    def __init__(self, labels: ImageSpec, network: nn.Module) -> None:
        super().__init__(labels)
        self.protocol = {"weights": fingerprint(network)}
        self.network = network.eval().requires_grad_(requires_grad=False)

    def update(self, fake: Tensor, source: Tensor) -> None:
        """Count a batch in."""
        with torch.no_grad():
            super().update(self.network(fake), source)
