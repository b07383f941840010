"""The paper's PatchGAN and PixelGAN."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from p2pkit import ComponentError, PairSpec, Verdict
from p2pkit.layers import Bias, InitStd, Norm, Width, initialise, needs_bias, normalise, widths

Layers = Annotated[
    int, Field(ge=0, le=6, description="Halvings; 0 to 6 let a verdict see 1, 16, 34, 70, 142, 286 or 574 pixels.")
]
SpectralNorm = Annotated[bool, Field(description="Whether each convolution's largest singular value is kept at 1.")]
Conditional = Annotated[bool, Field(description="Whether the source is judged along with the image.")]


class PatchDiscriminator(nn.Module):
    """The paper's PatchGAN: judges each patch of a pair on its own.

    Args:
        images: What the run's images are.
        layers: Halvings; 3 is the paper's 70 x 70 PatchGAN, 0 its PixelGAN of 1 x 1 convolutions.
        width: Channels of the first layer; each has twice the channels of the one before, up to eight times.
        norm: Normalisation; the first and the last layer have none.
        bias: Whether the convolutions before a norm have biases; by default where the norm has none.
        spectral_norm: Whether each convolution is divided by its largest singular value.
        conditional: Whether it sees the source too.
        init_std: Standard deviation of the initial weights.

    Raises:
        ComponentError: The images are so small that no verdict remains.

    Shape: source (B, C_source, H, W), image (B, C_target, H, W) -> one map of logits (B, 1, h, w); the features are
    the activations after each layer but the last.
    Source: Isola et al. 2017, arXiv:1611.07004, section 6.1.2; Miyato et al. 2018, arXiv:1802.05957 (spectral norm).
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        layers: Layers = 3,
        width: Width = 64,
        norm: Norm = "batch",
        bias: Bias = None,
        spectral_norm: SpectralNorm = False,
        conditional: Conditional = True,
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        check_layers(images, layers)
        self.conditional = conditional
        channels = images.target.channels + (images.source.channels if conditional else 0)
        biased = needs_bias(norm, bias)
        self.model = _patch(channels, layers, width, norm, biased) if layers else _pixel(channels, width, norm, biased)
        initialise(self, init_std)
        if spectral_norm:
            for module in list(self.model):
                if isinstance(module, nn.Conv2d):
                    parametrizations.spectral_norm(module)

    def forward(self, source: Tensor, image: Tensor) -> Verdict:
        """Judge a batch of pairs."""
        return judge(self.model, torch.cat([source, image], 1) if self.conditional else image)


def judge(model: nn.Sequential, images: Tensor) -> Verdict:
    """Run the layers of a discriminator, and keep what each activation gives as a feature.

    Args:
        model: The layers, the last one of which gives the logits.
        images: What is judged, source and image along the channels.
    """
    features = []
    for layer in model:
        images = layer(images)
        if isinstance(layer, nn.LeakyReLU):
            features.append(images)
    return Verdict((images,), (tuple(features),))


def check_layers(images: PairSpec, layers: int) -> None:
    """Refuse more halvings than leave a verdict.

    Args:
        images: What the run's images are.
        layers: Number of halvings.

    Raises:
        ComponentError: The verdict would be empty.
    """
    side = min(images.height, images.width)
    fitting = max([n for n in range(1, 7) if side >> n >= 3], default=0)  # two more convolutions take a pixel each
    if layers > fitting:
        raise ComponentError(
            f"{layers} layers leave no verdict of images of {images.height} x {images.width}",
            remedy=f"use {fitting} layers or fewer, or images with sides of at least {3 * 2**layers}",
            parameter="layers",
        )


def _patch(channels: int, layers: int, width: int, norm: str, bias: bool) -> nn.Sequential:
    model: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    levels = widths(width, layers + 1, 8 * width)
    for layer in range(1, layers + 1):
        stride = 2 if layer < layers else 1
        convolution = nn.Conv2d(levels[layer - 1], levels[layer], 4, stride, 1, bias=bias)
        model += [convolution, *normalise(norm, levels[layer]), nn.LeakyReLU(0.2)]
    return nn.Sequential(*model, nn.Conv2d(levels[-1], 1, 4, 1, 1))


def _pixel(channels: int, width: int, norm: str, bias: bool) -> nn.Sequential:
    first = nn.Conv2d(channels, width, 1)
    second, last = (nn.Conv2d(width * n, m, 1, bias=bias) for n, m in ((1, 2 * width), (2, 1)))
    norms = normalise(norm, 2 * width)
    return nn.Sequential(first, nn.LeakyReLU(0.2), second, *norms, nn.LeakyReLU(0.2), last)
