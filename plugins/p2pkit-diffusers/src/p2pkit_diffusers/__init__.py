"""Networks of diffusers as one-step generators."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit

from p2pkit_diffusers.latent import diffusers_latent
from p2pkit_diffusers.tiny import save_tiny
from p2pkit_diffusers.unets import diffusers_attention_unet, diffusers_unet

__all__ = ["diffusers_attention_unet", "diffusers_latent", "diffusers_unet", "save_tiny"]
__version__ = "0.1.0"
P2PKIT_PLUGIN_API = 2


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer the generators."""
    noise = {"z": p2pkit.VectorSpec(4, "noise")}
    yield p2pkit.Generator("diffusers_unet", diffusers_unet, extras=noise)
    yield p2pkit.Generator("diffusers_attention_unet", diffusers_attention_unet, extras=noise)
    yield p2pkit.Generator("diffusers_latent", diffusers_latent)
