"""The two ends of a network: what brings images to it, and its last activation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's colours in [0, 1], by which most classifiers standardise."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Their standard deviation."""


class Standardise(nn.Module):
    """Bring images to the mean and deviation of those that a network was trained with.

    Args:
        mean: Mean of each channel in [0, 1]; by default ImageNet's, which torchvision's networks were trained with.
        std: Standard deviation of each channel.

    Shape: (B, C, H, W) in [-1, 1] -> the same, about 0 with deviation 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        for name, values in {"mean": mean, "std": std}.items():
            # not persistent: a constant is none of a checkpoint's weights
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Shift and scale the channels."""
        return ((image + 1) / 2 - self.mean) / self.std


class ClassPlanes(nn.Module):
    """Softmax over the channels, brought to the range of images.

    Shape: (B, C, H, W) of any value -> (B, C, H, W) in [-1, 1].
    """

    def forward(self, logits: Tensor) -> Tensor:
        """Turn logits into planes."""
        return 2 * logits.softmax(1) - 1


def activation(final: str) -> nn.Module:
    """Return a generator's last layer by its name, one of `Final`."""
    return {"tanh": nn.Tanh, "linear": nn.Identity, "softmax": ClassPlanes}[final]()
