"""MONAI's patch discriminators."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec, Verdict
from p2pkit.layers import Width
from p2pkit_monai.network import build

Layers = Annotated[int, Field(ge=1, le=6, description="Convolutions between the first one and the last.")]
Norm = Annotated[Literal["batch", "instance"], Field(description="Normalisation of all layers but the ends.")]
Conditional = Annotated[bool, Field(description="Whether it sees the source beside the image.")]


class MonaiDiscriminator(nn.Module):
    """A discriminator of MONAI.

    Args:
        network: MONAI's network.
        conditional: Whether it sees the source beside the image.

    Shape: images (B, C, H, W) or (B, C, D, H, W) in [-1, 1] -> logits (B, 1, h, w) or (B, 1, d, h, w) a scale.
    """

    def __init__(self, network: nn.Module, conditional: bool) -> None:
        super().__init__()
        self.network = network
        self.conditional = conditional

    def forward(self, source: Tensor, image: Tensor) -> Verdict:
        """Judge pairs."""
        said = self.network(torch.cat([source, image], 1) if self.conditional else image)
        logits, features = said if isinstance(said, tuple) else ([said[-1]], [said[:-1]])
        return Verdict(tuple(logits), tuple(map(tuple, features)))


def monai_patch(
    images: PairSpec, *, width: Width = 64, layers: Layers = 3, norm: Norm = "batch", conditional: Conditional = True
) -> MonaiDiscriminator:
    """MONAI's PatchDiscriminator: patches of 70 x 70 pixels with three layers, of volumes 70 x 70 x 70.

    Args:
        images: What the run's images are.
        width: Channels of the first layer.
        layers: Convolutions between the first one and the last.
        norm: Normalisation of all layers but the ends.
        conditional: Whether it sees the source.

    Returns:
        The discriminator.

    Raises:
        ComponentError: The images are too small for so many layers.

    Shape: images (B, C, H, W) or (B, C, D, H, W) in [-1, 1] -> logits (B, 1, H / 2**layers - 2, ...).
    Source: Isola et al. 2017, arXiv:1611.07004, section 3.2.2.
    """
    _check(images, layers)
    options = {"channels": width, "num_layers_d": layers, "norm": norm.upper()}
    network = build(
        "PatchDiscriminator", spatial_dims=images.dims, in_channels=_channels(images, conditional), **options
    )
    return MonaiDiscriminator(network, conditional)


def monai_multiscale(
    images: PairSpec,
    *,
    scales: Annotated[int, Field(ge=1, le=3, description="How many discriminators there are.")] = 2,
    width: Width = 32,
    layers: Layers = 2,
    norm: Norm = "batch",
    conditional: Conditional = True,
) -> MonaiDiscriminator:
    """MONAI's MultiScalePatchDiscriminator: each further one has as many layers more, and judges larger patches.

    Args:
        images: What the run's images are.
        scales: How many discriminators there are.
        width: Channels of each one's first layer.
        layers: Convolutions of the first one; the second has twice as many.
        norm: Normalisation of all layers but the ends.
        conditional: Whether they see the source.

    Returns:
        The discriminator.

    Raises:
        ComponentError: The images are too small for so many layers.

    Shape: images (B, C, H, W) or (B, C, D, H, W) in [-1, 1] -> for each scale logits (B, 1, H / 2**(scale layers) - 1,
    ...).
    Source: Wang et al. 2018, arXiv:1711.11585, section 3.2.
    """
    _check(images, layers * scales)
    options = {"num_d": scales, "num_layers_d": layers, "channels": width, "norm": norm.upper()}
    sizes = {"spatial_dims": images.dims, "minimum_size_im": min(images.size)}
    network = build("MultiScalePatchDiscriminator", in_channels=_channels(images, conditional), **options, **sizes)
    return MonaiDiscriminator(network, conditional)


def _channels(images: PairSpec, conditional: bool) -> int:
    return images.target.channels + (images.source.channels if conditional else 0)


def _check(images: PairSpec, layers: int) -> None:
    """Refuse images of which the last norm would see one pixel alone."""
    least = 3 * 2**layers
    if min(images.size) < least:
        size = " x ".join(map(str, images.size))
        cause = f"{layers} layers leave no verdict of images of {size}: sides of {least} are needed"
        raise ComponentError(cause, remedy="take fewer layers, or larger images", parameter="layers")
