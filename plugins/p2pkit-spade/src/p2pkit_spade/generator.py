"""The SPADE generator, which is given its label map at every size."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from p2pkit import ComponentError, PairSpec
from p2pkit.layers import Width, check_sides, condition_size
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from p2pkit_spade.layers import FreeNorm, SpadeBlock, initialise, spectral

InitGain = Annotated[float, Field(gt=0, le=2, description="Factor of the initial weights' standard deviation.")]
Spectral = Annotated[bool, Field(description="Whether the largest singular value of convolutions is kept at 1.")]
Name = Annotated[str, Field(min_length=1)]


class SpadeGenerator(nn.Module):
    """SPADE's generator: from a small map to the image, normalised by the label map on the way.

    It begins with the label map made small, or with a vector: the style of GauGAN.

    Args:
        images: What the run's images are; any source will do, and label maps are what it is made for.
        width: Channels at full size; the first blocks have 16 times as many.
        upsamplings: How often the sides are doubled; the published code calls 5 normal, 6 more and 7 most.
        middle: Blocks of full width before channels are halved; OASIS has 2.
        hidden: Channels between the label map and SPADE's scales and shifts.
        norm: The normalisation without weights inside SPADE.
        style: The vector that it begins with, by its name; by default it begins with the label map.
        noise: A vector that stands beside the label map everywhere, by its name; OASIS has one of 64 numbers.
        spectral_norm: Whether the largest singular value of the blocks' convolutions is kept at 1.
        init_gain: Factor of the initial weights' standard deviation.

    Raises:
        p2pkit.ComponentError: The sides are not multiples of 2**upsamplings, or under twice that; there are too few
            blocks to double them, or there is no such vector.

    Shape: source (B, C_source, H, W) in [-1, 1], vectors (B, size) -> fake (B, C_target, H, W) in [-1, 1]; H, W
    multiples of 2**upsamplings.
    Source: Park et al. 2019, arXiv:1903.07291, figures 4 and 12; NVlabs/SPADE. Noise: Sushko et al. 2021,
    arXiv:2012.04781, section 3.3.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        width: Width = 64,
        upsamplings: Annotated[int, Field(ge=4, le=7, description="How often the sides are doubled.")] = 5,
        middle: Annotated[int, Field(ge=1, le=8, description="Blocks of full width, which come first.")] = 3,
        hidden: Annotated[
            int, Field(ge=1, le=1024, description="Channels between labels, and scales and shifts.")
        ] = 128,
        norm: Annotated[FreeNorm, Field(description="The normalisation without weights inside SPADE.")] = "batch",
        style: Annotated[Name | None, Field(description="Vector that it begins with; null: the label map.")] = None,
        noise: Annotated[Name | None, Field(description="Vector that stands beside the label map.")] = None,
        spectral_norm: Spectral = True,
        init_gain: InitGain = 0.02,
    ) -> None:
        super().__init__()
        self.multiple = 2**upsamplings
        check_sides(images, "spade", self.multiple, least=2 * self.multiple, parameter="upsamplings")
        halvings = 5 if upsamplings == 7 else 4
        early = upsamplings - halvings
        if early >= middle:
            cause = f"{upsamplings} doublings need {early + 1} blocks of full width, and there are {middle}"
            raise ComponentError(cause, remedy=f"use middle: {early + 1} or more", parameter="middle")
        self.style, self.noise = style, noise
        self.takes = tuple(name for name in (style, noise) if name)
        planes = images.source.channels + (condition_size(images, noise, "noise") if noise else 0)
        channels = [16 * width] * (middle + 1) + [16 * width // 2**number for number in range(1, halvings + 1)]
        self.blocks = nn.ModuleList([SpadeBlock(*ends, planes, norm, hidden) for ends in pairwise(channels)])
        self.doubled = {*range(1, early + 1), *range(middle, middle + halvings)}
        self.seed = images.height >> upsamplings, images.width >> upsamplings
        self.first: nn.Module = nn.Conv2d(planes, 16 * width, 3, padding=1)
        if style:
            numbers = 16 * width * self.seed[0] * self.seed[1]
            self.first = nn.Linear(condition_size(images, style, "style"), numbers)
        self.last = nn.Conv2d(channels[-1], images.target.channels, 3, padding=1)
        initialise(self, init_gain)
        if spectral_norm:
            for block in self.blocks:
                spectral(block)

    def forward(self, source: Tensor, **extras: Tensor) -> Tensor:
        """Make a fake of a label map."""
        labels = (source + 1) / 2
        if self.noise:
            noise = extras[self.noise].to(labels.dtype)[:, :, None, None]
            labels = torch.cat([noise.expand(-1, -1, *labels.shape[2:]), labels], 1)
        maps = self._begin(labels, extras)
        for number, block in enumerate(self.blocks):
            if number in self.doubled:
                maps = functional.interpolate(maps, scale_factor=2)
            maps = block(maps, labels)
        fake: Tensor = self.last(functional.leaky_relu(maps, 0.2)).tanh()
        return fake

    def _begin(self, labels: Tensor, extras: dict[str, Tensor]) -> Tensor:
        size = labels.shape[2] // self.multiple, labels.shape[3] // self.multiple
        if self.style is None:
            begun: Tensor = self.first(functional.interpolate(labels, size=size))
            return begun
        begun = self.first(extras[self.style]).unflatten(1, (-1, *self.seed))
        return begun if size == self.seed else functional.interpolate(begun, size=size)
