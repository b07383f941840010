"""DISTS with torchmetrics' layers and learned weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from p2pkit import PairSpec, WeightsFile, classifier_features, read_weights
from p2pkit.layers import Standardise
from p2pkit_perceptual.comparison import Comparison, check_images

CHANNELS = (3, 64, 128, 256, 512, 512)
"""Channels of what is compared: the image, then the last ReLU of each block of VGG16."""

STABLE = 1e-6


class Dists(Comparison):
    """Deep image structure and texture similarity (DISTS) of fake and target.

    The pooling and the learned shares are torchmetrics', the network is torchvision's VGG16. torchmetrics' own
    network object would download VGG16 whenever it is made, and copies a constant to the device in every step.

    Args:
        images: What the run's images are.
        weights: File with torchvision's weights of VGG16.

    Raises:
        ComponentError: The images don't suit the network, or its weights can't be had.

    Shape: images (B, 1 or 3, H, W) in [-1, 1] -> scalar, 0 for equal images.
    Source: Ding et al. 2020, arXiv:2004.07728, equations 4 to 8.
    """

    structure: Tensor
    texture: Tensor

    def __init__(self, images: PairSpec, *, weights: WeightsFile = None) -> None:
        super().__init__()
        check_images("dists", images, 16)
        self.standardise = Standardise()
        self.blocks = _blocks(classifier_features("vgg16", weights))
        for name, shares in zip(("texture", "structure"), _shares(), strict=True):
            self.register_buffer(name, shares, persistent=False)
        self.frozen()

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """Take the shares of means (texture) and of correlations (structure) that agree from one."""
        similarities = [_similarities((fake + 1) / 2, (target + 1) / 2)]
        fake, target = self.standardise(fake), self.standardise(target)
        for block in self.blocks:
            fake, target = block(fake), block(target)
            similarities.append(_similarities(fake, target))
        means, correlations = (torch.cat(kind, 1) for kind in zip(*similarities, strict=True))
        return 1 - (self.texture * means + self.structure * correlations).sum(1).mean()


def _similarities(fake: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Compare the means and the correlations of each channel.

    Shape: (B, C, H, W) -> twice (B, C).
    """
    f_mean, t_mean = (image.mean((2, 3), keepdim=True) for image in (fake, target))
    f_rest, t_rest = fake - f_mean, target - t_mean
    variances = f_rest.square().mean((2, 3)) + t_rest.square().mean((2, 3))
    covariance = (f_rest * t_rest).mean((2, 3))
    means = (2 * f_mean * t_mean + STABLE) / (f_mean.square() + t_mean.square() + STABLE)
    return means.flatten(1), (2 * covariance + STABLE) / (variances + STABLE)


def _blocks(features: nn.Sequential) -> nn.ModuleList:
    """Cut VGG16 where it pools, and let each further block begin with the smooth pooling of DISTS."""
    from torchmetrics.functional.image.dists import L2pooling

    blocks: list[list[nn.Module]] = [[]]
    for layer in features[:-1]:  # the last pooling has no block behind it
        if isinstance(layer, nn.MaxPool2d):
            blocks.append([L2pooling(channels=CHANNELS[len(blocks)])])
        else:
            blocks[-1].append(nn.ReLU() if isinstance(layer, nn.ReLU) else layer)
    return nn.ModuleList(nn.Sequential(*block) for block in blocks)


def _shares() -> tuple[Tensor, Tensor]:
    """Return the learned shares of means and of correlations, one for each channel; together they are one."""
    from torchmetrics.functional.image import dists

    learned = read_weights(Path(dists.__file__).parent / "dists_models" / "weights.pt")
    alpha, beta = (learned[name].detach().float().flatten() for name in ("alpha", "beta"))
    total = alpha.sum() + beta.sum()
    return alpha / total, beta / total
