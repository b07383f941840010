"""OASIS's discriminator, which tells of each pixel its class, or that it is not real."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from p2pkit import ComponentError, PairSpec, Verdict
from p2pkit.layers import Width, check_sides
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from p2pkit_spade.generator import InitGain, Spectral
from p2pkit_spade.layers import initialise, spectral


class OasisDiscriminator(nn.Module):
    """OASIS's discriminator: a U-Net that segments images into the classes of the label map, and one for fakes.

    The one feature of its verdict has a plane of logits for each of these, fakes first: the loss `oasis` reads it. The
    verdict's logit of a pixel is that of its being real, of whatever class. It does not see the label map.

    Args:
        images: What the run's images are; the sources are label maps.
        width: Channels of the first halvings; the next ones have twice, the last four times as many.
        halvings: Halvings, and doublings.
        spectral_norm: Whether the largest singular value of the blocks' convolutions is kept at 1.
        init_gain: Factor of the initial weights' standard deviation.

    Raises:
        p2pkit.ComponentError: The sources are no label maps, or their sides are not multiples of 2**halvings.

    Shape: source (B, classes, H, W), image (B, C_target, H, W) -> a map of logits (B, 1, H, W), and as its feature
    (B, 1 + classes, H, W).
    Source: Sushko et al. 2021, arXiv:2012.04781, section 3.1 and appendix A.7; boschresearch/OASIS.
    """

    conditional = False

    def __init__(
        self,
        images: PairSpec,
        *,
        width: Width = 128,
        halvings: Annotated[int, Field(ge=2, le=8, description="Halvings, and doublings.")] = 6,
        spectral_norm: Spectral = True,
        init_gain: InitGain = 0.02,
    ) -> None:
        super().__init__()
        check_labels(images)
        check_sides(images, "oasis", 2**halvings, parameter="halvings")
        levels = [images.target.channels, *(width * min(4, 2 ** (number // 2)) for number in range(halvings))]
        self.down = nn.ModuleList([Down(*sides, first=number == 0) for number, sides in enumerate(pairwise(levels))])
        upwards = [*levels[:0:-1], max(1, width // 2)]
        ends = [(less * (2 if number else 1), more) for number, (less, more) in enumerate(pairwise(upwards))]
        self.up = nn.ModuleList([Up(*sides) for sides in ends])
        self.last = nn.Conv2d(upwards[-1], images.source.channels + 1, 1)
        initialise(self, init_gain)
        for block in [*self.down, *self.up] if spectral_norm else []:
            spectral(block)

    def forward(self, source: Tensor, image: Tensor) -> Verdict:
        """Tell of each pixel of a batch what it is."""
        maps, levels = image, []
        for halve in self.down:
            maps = halve(maps)
            levels.append(maps)
        for double in self.up:
            level = levels.pop()
            maps = double(maps if maps is level else torch.cat([level, maps], 1))
        planes = self.last(maps)
        real = planes[:, 1:].logsumexp(1, keepdim=True) - planes[:, :1]
        return Verdict((real,), ((planes,),))


class Down(nn.Module):
    """Two convolutions and a halving, to which the halved input is added.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        first: Whether the input is the image, which passes no activation first.

    Shape: (B, inputs, H, W) -> (B, outputs, H / 2, W / 2).
    """

    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.convolutions = nn.ModuleList([nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)])
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, maps: Tensor) -> Tensor:
        """Halve the sides."""
        one, two = self.convolutions
        changed = two(functional.leaky_relu(one(maps if self.first else functional.leaky_relu(maps, 0.2)), 0.2))
        # an average and a convolution of 1 x 1 may change places
        halved = functional.avg_pool2d(maps, 2)
        straight = halved if self.shortcut is None else self.shortcut(halved)
        down: Tensor = straight + functional.avg_pool2d(changed, 2)
        return down


class Up(nn.Module):
    """A doubling and two convolutions, to which the doubled input is added.

    Args:
        inputs: Channels in.
        outputs: Channels out.

    Shape: (B, inputs, H, W) -> (B, outputs, 2 H, 2 W).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)])
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, maps: Tensor) -> Tensor:
        """Double the sides."""
        one, two = self.convolutions
        changed = one(functional.interpolate(functional.leaky_relu(maps, 0.2), scale_factor=2))
        straight = maps if self.shortcut is None else self.shortcut(maps)  # before the doubling, which is the same
        up: Tensor = functional.interpolate(straight, scale_factor=2) + two(functional.leaky_relu(changed, 0.2))
        return up


def check_labels(images: PairSpec) -> None:
    """Refuse sources that are no label maps.

    Args:
        images: What the run's images are.

    Raises:
        p2pkit.ComponentError: They are none.
    """
    if images.source.kind != "labels":
        cause = "oasis tells the classes of a label map apart, and the sources are none"
        raise ComponentError(cause, remedy="use a data set of label maps, for instance labels")
