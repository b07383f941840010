"""Networks of segmentation_models_pytorch as generators."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit
from p2pkit_smp.pyramids import smp_deeplabv3_plus, smp_dpt, smp_fpn, smp_segformer, smp_upernet
from p2pkit_smp.unets import smp_linknet, smp_manet, smp_unet, smp_unet_plus_plus

__version__ = "0.1.0"


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer the generators."""
    yield p2pkit.Generator("smp_unet", smp_unet)
    yield p2pkit.Generator("smp_unet_plus_plus", smp_unet_plus_plus)
    yield p2pkit.Generator("smp_manet", smp_manet)
    yield p2pkit.Generator("smp_linknet", smp_linknet)
    yield p2pkit.Generator("smp_fpn", smp_fpn)
    yield p2pkit.Generator("smp_deeplabv3_plus", smp_deeplabv3_plus)
    yield p2pkit.Generator("smp_upernet", smp_upernet)
    yield p2pkit.Generator("smp_segformer", smp_segformer)
    yield p2pkit.Generator("smp_dpt", smp_dpt)
