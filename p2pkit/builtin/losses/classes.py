"""The loss of segmentation: how sure a fake is of each pixel's true class."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec, View
from p2pkit.builtin.segmentation import check_labels

EPSILON = 1e-7


class CrossEntropy(nn.Module):
    """Mean negative log-likelihood of each pixel's true class, for targets that are labels.

    A fake's planes, brought from [-1, 1] to [0, 1], are taken as the classes' shares of a pixel, which is what a
    generator that ends with softmax gives. Pixels of unlabelled classes are passed over.

    Args:
        images: What the run's images are.
        class_weights: How much a pixel of each class counts; by default all alike.

    Raises:
        ComponentError: The targets are no labels, or there is not a weight for each class.

    Source: Long et al. 2015, arXiv:1411.4038, section 4.3.
    """

    weights: Tensor

    def __init__(
        self,
        images: PairSpec,
        *,
        class_weights: Annotated[
            list[Annotated[float, Field(ge=0)]] | None,
            Field(description="How much a pixel of each class counts; null: all alike."),
        ] = None,
    ) -> None:
        super().__init__()
        check_labels(images, "cross_entropy")
        classes = images.target.channels
        if class_weights is not None and len(class_weights) != classes:
            cause = f"there are {len(class_weights)} weights for {classes} classes"
            raise ComponentError(cause, remedy="give one for each class", parameter="class_weights")
        weights = torch.tensor(class_weights or [1.0] * classes, dtype=torch.float32)
        weights[[index for index in images.target.unlabelled if index < classes]] = 0
        self.register_buffer("weights", weights, persistent=False)

    def generator(self, view: View) -> Tensor:
        """The mean over the pixels whose class is known."""
        shares = (view.fake.float() + 1) / 2 + EPSILON
        classes = view.target.argmax(1, keepdim=True)
        sure = (shares.gather(1, classes) / shares.sum(1, keepdim=True)).log()
        counts = self.weights[classes] * (view.target.amax(1, keepdim=True) > -1)
        return -(sure * counts).sum() / counts.sum().clamp(min=EPSILON)
