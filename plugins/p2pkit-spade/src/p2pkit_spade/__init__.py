"""SPADE for p2pkit: its generator, GauGAN's style encoder, and the discriminator and loss of OASIS."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import p2pkit

from p2pkit_spade.generator import SpadeGenerator
from p2pkit_spade.oasis_discriminator import OasisDiscriminator
from p2pkit_spade.oasis_loss import OasisLoss
from p2pkit_spade.style import StyleEncoder, StyleLoss

P2PKIT_PLUGIN_API = 2

__all__ = ["OasisDiscriminator", "OasisLoss", "SpadeGenerator", "StyleEncoder", "StyleLoss"]

_NOISE = {"z": p2pkit.VectorSpec(8, "noise")}


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer the generator."""
    yield p2pkit.Generator("spade", SpadeGenerator, extras=_NOISE)


@p2pkit.hookimpl
def p2pkit_discriminators() -> Iterator[p2pkit.Discriminator]:
    """Offer OASIS's discriminator."""
    yield p2pkit.Discriminator("oasis", OasisDiscriminator)


@p2pkit.hookimpl
def p2pkit_losses() -> Iterator[p2pkit.Loss]:
    """Offer the losses."""
    yield p2pkit.Loss("style", StyleLoss, extras=_NOISE)
    yield p2pkit.Loss(
        "oasis", OasisLoss, judge=partial(OasisDiscriminator, width=4, halvings=2, init_gain=1.0, spectral_norm=False)
    )
