"""GauGAN's style: a vector that an encoder reads from the photo in training, and that is drawn, or set, afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

from p2pkit import ComponentError, PairSpec, View
from p2pkit.layers import Width, condition_size, draw_latent, kl_to_normal, widths
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from p2pkit_spade.generator import InitGain, Name
from p2pkit_spade.layers import initialise, spectral


class StyleEncoder(nn.Module):
    """Tells of an image by which style it may have been made: a normal distribution's mean and log-variance.

    Args:
        images: What the run's images are.
        size: Numbers of the style.
        width: Channels of the first layer; each has twice as many as the one before, up to eight times.
        side: To what side images are brought first; it is halved until 4 are left.
        init_gain: Factor of the initial weights' standard deviation.

    Shape: (B, C_target, H, W) in [-1, 1] -> two of (B, size).
    Source: Park et al. 2019, arXiv:1903.07291, figure 14; NVlabs/SPADE, `ConvEncoder`.
    """

    def __init__(self, images: PairSpec, size: int, *, width: int, side: int, init_gain: float) -> None:
        super().__init__()
        self.side = side
        channels = [images.target.channels, *widths(width, side.bit_length() - 3, 8 * width)]
        self.layers = nn.ModuleList([_halve(less, more) for less, more in pairwise(channels)])
        self.mean, self.log_var = (nn.Linear(channels[-1] * 16, size) for _ in range(2))
        initialise(self, init_gain)
        for layer in self.layers:
            spectral(layer)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance."""
        if image.shape[2:] != (self.side, self.side):
            image = functional.interpolate(image, size=(self.side, self.side), mode="bilinear")
        for layer in self.layers:
            image = layer(image)
        return self.mean(image.flatten(1)), self.log_var(image.flatten(1))


def _halve(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
    return nn.Sequential(convolution, nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2))


class StyleLoss(nn.Module):
    """GauGAN's encoder: in training it reads the style from the target, and pays for styles unlike those drawn later.

    The run's own losses judge the fake that is made of it, so that generator and encoder are a conditional VAE.

    Args:
        images: What the run's images are.
        style: What the config's `noise` calls the style.
        width: Channels of the encoder's first layer.
        side: To what side the encoder brings images first.
        init_gain: Factor of the initial weights' standard deviation.

    Raises:
        p2pkit.ComponentError: There is no such noise.

    Source: Park et al. 2019, arXiv:1903.07291, section 3 and appendix A; Kingma and Welling 2014, arXiv:1312.6114.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        style: Annotated[Name, Field(description="What the config's `noise` calls the style.")] = "z",
        width: Width = 64,
        side: Annotated[int, Field(ge=8, le=1024, description="Side of what the encoder sees, a power of 2.")] = 256,
        init_gain: InitGain = 0.02,
    ) -> None:
        super().__init__()
        self.style = style
        size = condition_size(images, style, "style")
        self.encoder = StyleEncoder(images, size, width=width, side=_power_of_two(side), init_gain=init_gain)

    def encode(self, source: Tensor, target: Tensor, extras: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read each pair's style from its target."""
        mean, log_var = self.encoder(target)
        read = {f"{self.style}_mean": mean, f"{self.style}_log_var": log_var}
        return {self.style: draw_latent(mean, log_var), **read}

    def generator(self, view: View) -> Tensor:
        """The divergence of the styles that were read from those that will be drawn."""
        return kl_to_normal(view.extras[f"{self.style}_mean"], view.extras[f"{self.style}_log_var"])


def _power_of_two(side: int) -> int:
    if side & (side - 1):
        raise ComponentError(
            f"the encoder halves {side} pixels until 4 are left, which it can't",
            remedy=f"use side: {1 << (side.bit_length() - 1)}",
            parameter="side",
        )
    return side
