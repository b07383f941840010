"""Four U-Nets of the literature as generators: attention, residual, nested, full-scale."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit
from p2pkit_unets.attention import AttentionUNet
from p2pkit_unets.full_scale import UNet3Plus
from p2pkit_unets.nested import UNetPlusPlus
from p2pkit_unets.residual import ResidualUNet

P2PKIT_PLUGIN_API = 1


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer the four U-Nets."""
    yield p2pkit.Generator("attention_unet", AttentionUNet)
    yield p2pkit.Generator("residual_unet", ResidualUNet)
    yield p2pkit.Generator("unet_plus_plus", UNetPlusPlus)
    yield p2pkit.Generator("unet_3_plus", UNet3Plus)
