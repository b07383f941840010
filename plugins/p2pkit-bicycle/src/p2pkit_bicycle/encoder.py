"""The encoder, which reads noise from an image."""

from __future__ import annotations

from itertools import pairwise

from p2pkit import ComponentError, PairSpec
from p2pkit.layers import initialise, same_convolution
from torch import Tensor, nn


class NoiseEncoder(nn.Module):
    """Tells of an image by which noise it may have been made: a normal distribution's mean and log-variance.

    Args:
        images: What the run's images are.
        size: Numbers of the noise.
        width: Channels of the first layer; each block has as many more, up to four times.
        halvings: How often the sides are halved, by the first layer and by each block, before the mean is taken.

    Raises:
        p2pkit.ComponentError: The images are too small for so many halvings.

    Shape: (B, C_target, H, W) in [-1, 1] -> two of (B, size).
    Source: Zhu et al. 2017, arXiv:1711.11586, section 3.4; junyanz/BicycleGAN, `E_ResNet`.
    """

    def __init__(self, images: PairSpec, size: int, *, width: int, halvings: int) -> None:
        super().__init__()
        side = min(images.height, images.width)
        if side < 2**halvings:
            cause = f"the encoder halves images {halvings} times, and those of {images.height} x {images.width} are too"
            raise ComponentError(f"{cause} small for it", parameter="halvings", remedy="use fewer halvings")
        channels = [width * min(number, 4) for number in range(1, halvings + 1)]
        blocks = [Block(less, more) for less, more in pairwise(channels)]
        first = nn.Conv2d(images.target.channels, width, 4, 2, 1)
        self.features = nn.Sequential(first, *blocks, nn.LeakyReLU(0.2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.mean, self.log_var = (nn.Linear(channels[-1], size) for _ in range(2))
        initialise(self, 0.02)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance."""
        features = self.features(image)
        return self.mean(features), self.log_var(features)


class Block(nn.Module):
    """Two convolutions and a halving, to which the halved input is added.

    Args:
        inputs: Channels in.
        outputs: Channels out.

    Shape: (B, inputs, H, W) -> (B, outputs, H / 2, W / 2).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [nn.InstanceNorm2d(inputs), nn.LeakyReLU(0.2), same_convolution(inputs, channels, 3)]
        self.model = nn.Sequential(*layers, nn.AvgPool2d(2))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Halve the sides."""
        halved: Tensor = self.model(image) + self.shortcut(image)
        return halved
