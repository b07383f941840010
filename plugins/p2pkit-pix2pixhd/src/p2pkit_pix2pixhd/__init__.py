"""pix2pixHD for p2pkit: a global generator, a local enhancer around it, and label maps with instance edges."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit

from p2pkit_pix2pixhd.dataset import labels_with_edges
from p2pkit_pix2pixhd.edges import instance_edges, source_planes
from p2pkit_pix2pixhd.generators import GlobalGenerator, LocalGenerator

P2PKIT_PLUGIN_API = 1

__all__ = ["GlobalGenerator", "LocalGenerator", "instance_edges", "labels_with_edges", "source_planes"]


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer both generators."""
    yield p2pkit.Generator("pix2pixhd_global", GlobalGenerator)
    yield p2pkit.Generator("pix2pixhd_local", LocalGenerator)


@p2pkit.hookimpl
def p2pkit_datasets() -> Iterator[p2pkit.Dataset]:
    """Offer label maps with instance edges."""
    yield p2pkit.Dataset("labels_with_edges", labels_with_edges)
