"""A discriminator to begin with: a small PatchGAN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

import p2pkit

P2PKIT_PLUGIN_API = 2


class SmallPatch(nn.Module):
    """Judges each patch of a pair on its own, by strided convolutions without normalisation.

    Args:
        images: What the run's images are.
        layers: Number of halvings.
        width: Channels of the first layer; each layer has twice the channels of the one before.

    Raises:
        ComponentError: The images are so small that no verdict remains.

    Shape: source (B, C_source, H, W), image (B, C_target, H, W), both in [-1, 1] -> one map of logits
    (B, 1, H / 2**layers, W / 2**layers), rounded down; the features are the activations.
    Source: Isola et al. 2017, arXiv:1611.07004, section 3.2.2.
    """

    def __init__(
        self,
        images: p2pkit.PairSpec,
        *,
        layers: Annotated[int, Field(ge=1, le=6, description="Number of halvings of the image's sides.")] = 2,
        width: Annotated[int, Field(ge=4, le=512, description="Channels of the first layer.")] = 32,
    ) -> None:
        super().__init__()
        if min(images.height, images.width) < 2**layers:
            raise p2pkit.ComponentError(
                f"{layers} layers leave no verdict of images of {images.height} x {images.width}",
                remedy="use fewer layers, or larger images",
                parameter="layers",
            )
        channels = [images.source.channels + images.target.channels, *(width * 2**layer for layer in range(layers))]
        self.layers = nn.ModuleList([nn.Conv2d(channels[i], channels[i + 1], 4, 2, 1) for i in range(layers)])
        self.last = nn.Conv2d(channels[-1], 1, 3, padding=1)

    def forward(self, source: Tensor, image: Tensor) -> p2pkit.Verdict:
        """Judge a batch of pairs."""
        features = [torch.cat([source, image], 1)]
        for layer in self.layers:
            features.append(nn.functional.leaky_relu(layer(features[-1]), 0.2))
        return p2pkit.Verdict((self.last(features[-1]),), (tuple(features[1:]),))


@p2pkit.hookimpl
def p2pkit_discriminators() -> Iterator[p2pkit.Discriminator]:
    """Offer this plugin's discriminators."""
    yield p2pkit.Discriminator("small_patch", SmallPatch)
