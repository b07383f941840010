"""What the losses with a frozen network share."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec, View


class Comparison(nn.Module):
    """A frozen network that compares fake and target; it never leaves evaluation mode.

    Shape: images (B, 1 or 3, H, W) in [-1, 1] -> scalar.
    """

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)

    def frozen(self) -> Self:
        """Fix all weights, on the default device: constants of torchmetrics' layers are made on the CPU in any case."""
        return self.to(torch.empty(0).device).requires_grad_(False).train(False)

    def generator(self, view: View) -> Tensor:
        """The distance of fake and target, grey images shown to the network as colour ones."""
        distance: Tensor = self(_colour(view.fake), _colour(view.target.detach()))
        return distance


def check_images(name: str, images: PairSpec, least: int) -> None:
    """Refuse targets that a classifier of colour photos can't be shown.

    Args:
        name: The loss.
        images: What the run's images are.
        least: The smallest side that leaves something to compare at the deepest layer.

    Raises:
        ComponentError: The target has the wrong channels, is labels, or is too small.
    """
    target = images.target
    if target.kind == "labels" or target.channels not in (1, 3):
        has = f"labels of {target.channels} classes" if target.kind == "labels" else f"{target.channels} channels"
        cause = f"{name} compares pictures of 1 or 3 channels, the target has {has}"
        raise ComponentError(cause, remedy="leave it out, or use focal_frequency or l1")
    if min(images.height, images.width) < least:
        cause = f"{name} needs sides of at least {least}, the images are {images.height} x {images.width}"
        raise ComponentError(cause, remedy="use larger images, or leave it out")


def _colour(image: Tensor) -> Tensor:
    return image.float().expand(-1, 3, -1, -1)
