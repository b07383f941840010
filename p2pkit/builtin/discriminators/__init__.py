"""Discriminators of the paper, of its best known reimplementation, and of its successor at high resolution."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit
from p2pkit.builtin.discriminators.multiscale import MultiscaleDiscriminator
from p2pkit.builtin.discriminators.patch import PatchDiscriminator
from p2pkit.builtin.discriminators.patch_blog import PatchBlogDiscriminator


@p2pkit.hookimpl
def p2pkit_discriminators() -> Iterator[p2pkit.Discriminator]:
    """Offer the built-in discriminators."""
    yield p2pkit.Discriminator("patch", PatchDiscriminator)
    yield p2pkit.Discriminator("patch_blog", PatchBlogDiscriminator)
    yield p2pkit.Discriminator("multiscale", MultiscaleDiscriminator)
