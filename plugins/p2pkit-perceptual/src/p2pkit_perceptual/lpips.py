"""LPIPS with torchmetrics' network and learned heads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from p2pkit import PairSpec, WeightsFile, lpips_network
from p2pkit_perceptual.comparison import Comparison, check_images

LEAST = {"alexnet": 31, "vgg16": 16}


class Lpips(Comparison):
    """Learned perceptual image patch similarity (LPIPS, version 0.1) of fake and target, by torchmetrics.

    Its heads come with torchmetrics; a weights file that holds heads of its own (`lin0.model.1.weight` and so on)
    brings those. vgg16 is the usual choice for training, alexnet is the one that is usually reported.

    Args:
        images: What the run's images are.
        network: Which network's features.
        weights: File with torchvision's weights of the network.

    Raises:
        ComponentError: The images don't suit the network, or its weights can't be had.

    Shape: images (B, 1 or 3, H, W) in [-1, 1] -> scalar, 0 for equal images.
    Source: Zhang et al. 2018, arXiv:1801.03924, equation 1.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        network: Annotated[Literal["alexnet", "vgg16"], Field(description="Which network's features.")] = "vgg16",
        weights: WeightsFile = None,
    ) -> None:
        super().__init__()
        check_images("lpips", images, LEAST[network])
        self.network = lpips_network(network, weights)
        self.frozen()

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """Average the batch's similarities."""
        similarity: Tensor = self.network(fake, target).mean()
        return similarity
