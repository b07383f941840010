"""The two PatchGANs that judge one image, of which the second sees it at half the resolution and is half as wide."""

from __future__ import annotations

from typing import Annotated

import torch
from p2pkit import ComponentError, PairSpec, Verdict
from p2pkit.layers import InitStd, Width, initialise, widths
from pydantic import Field
from torch import Tensor, nn

Layers = Annotated[int, Field(ge=1, le=6, description="Halvings; with 3 a verdict sees 70 pixels, or 140.")]
Conditional = Annotated[bool, Field(description="Whether the source is judged along with the image.")]


class PatchPair(nn.Module):
    """BicycleGAN's discriminator: a PatchGAN, and one of half the width for the image at half the resolution.

    Args:
        images: What the run's images are.
        layers: Halvings inside each.
        width: Channels of the first layer of the first one.
        conditional: Whether they see the source too.
        init_std: Standard deviation of the initial weights.

    Raises:
        p2pkit.ComponentError: The images are so small that no verdict remains.

    Shape: source (B, C_source, H, W), image (B, C_target, H, W) -> two maps of logits (B, 1, h, w), full size first;
    the features are the activations after each layer but the last.
    Source: Zhu et al. 2017, arXiv:1711.11586, section 3.4; junyanz/BicycleGAN, `D_NLayersMulti`.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        layers: Layers = 3,
        width: Width = 64,
        conditional: Conditional = False,
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        side = (min(images.height, images.width) + 1) // 2
        if side >> layers < 3:
            raise ComponentError(
                f"{layers} layers leave no verdict of half of {images.height} x {images.width}",
                remedy=f"use fewer layers, or images with sides of at least {6 * 2**layers}",
                parameter="layers",
            )
        self.conditional = conditional
        channels = images.target.channels + (images.source.channels if conditional else 0)
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.scales = nn.ModuleList([_patch(channels, layers, each) for each in (width, max(1, width // 2))])
        initialise(self, init_std)

    def forward(self, source: Tensor, image: Tensor) -> Verdict:
        """Judge a batch of images, with their sources if it is conditional."""
        seen = torch.cat([source, image], 1) if self.conditional else image
        judged = [_judged(patch, each) for patch, each in zip(self.scales, (seen, self.pool(seen)), strict=True)]
        return Verdict(tuple(logits for logits, _ in judged), tuple(features for _, features in judged))


def _patch(channels: int, layers: int, width: int) -> nn.ModuleList:
    levels = widths(width, layers + 1, 8 * width)
    blocks: list[nn.Module] = [nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2))]
    for layer in range(1, layers + 1):
        convolution = nn.Conv2d(levels[layer - 1], levels[layer], 4, 2 if layer < layers else 1, 1)
        blocks.append(nn.Sequential(convolution, nn.InstanceNorm2d(levels[layer]), nn.LeakyReLU(0.2)))
    return nn.ModuleList([*blocks, nn.Conv2d(levels[-1], 1, 4, 1, 1)])


def _judged(patch: nn.Module, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    features = []
    for block in patch.children():
        image = block(image)
        features.append(image)
    return features.pop(), tuple(features)
