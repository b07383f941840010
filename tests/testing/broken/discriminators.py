"""Discriminators of which each breaks the one rule that it is named after."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

import p2pkit

DOC = """A network with a fault.

Shape: source (B, C_source, H, W), image (B, C_target, H, W) -> logits (B, 1, H / 2, W / 2) of any value.
Source: none.
"""


class Fine(nn.Module):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__()
        self.layer = nn.Conv2d(images.source.channels + images.target.channels, 1, 4, 2, 1)

    def forward(self, source, image):
        logits = self.layer(torch.cat([source, image], 1))
        return p2pkit.Verdict((logits,), ((logits,),))


class Lists(Fine):
    __doc__ = DOC

    def forward(self, source, image):
        return p2pkit.Verdict(list(super().forward(source, image).logits))


class Flat(Fine):
    __doc__ = DOC

    def forward(self, source, image):
        return p2pkit.Verdict((super().forward(source, image).logits[0].flatten(1),))


class Detached(Fine):
    __doc__ = DOC

    def forward(self, source, image):
        return super().forward(source, image.detach())


class Blind(Fine):
    __doc__ = DOC

    def forward(self, source, image):
        return super().forward(torch.zeros_like(source), image)


class AlwaysConditional(Fine):
    __doc__ = DOC

    def __init__(
        self,
        images: p2pkit.PairSpec,
        *,
        conditional: Annotated[bool, Field(description="Whether the source is judged too.")] = True,
    ) -> None:
        super().__init__(images)


class Unconditional(Blind):
    __doc__ = DOC
    conditional = False


class DetachedFeatures(Fine):
    __doc__ = DOC

    def forward(self, source, image):
        logits = super().forward(source, image).logits
        return p2pkit.Verdict(logits, ((logits[0].detach(),),))


class Probabilities(Fine):
    __doc__ = DOC

    def forward(self, source, image):
        return p2pkit.Verdict((super().forward(source, image).logits[0].sigmoid(),))


@p2pkit.hookimpl
def p2pkit_discriminators():
    yield p2pkit.Discriminator("verdict", Lists)
    yield p2pkit.Discriminator("verdict_2", Flat)
    yield p2pkit.Discriminator("gradient_to_image", Detached)
    yield p2pkit.Discriminator("features", DetachedFeatures)
    yield p2pkit.Discriminator("unbounded", Probabilities)
    yield p2pkit.Discriminator("conditional", Blind)
    yield p2pkit.Discriminator("conditional_2", AlwaysConditional)
    yield p2pkit.Discriminator("nothing", Unconditional)
