"""What the losses with a frozen network share."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec, View

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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


class Standardise(nn.Module):
    """Bring images to the mean and deviation that torchvision's classifiers were trained with.

    Shape: (B, 3, H, W) in [-1, 1] -> the same, about 0 with deviation 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}.items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Shift and scale the channels."""
        return ((image + 1) / 2 - self.mean) / self.std


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
