"""Rasters for p2pkit: a reader of GeoTIFF, tiles of large scenes as pairs, and torchgeo's data sets."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit

from p2pkit_geo.reader import GeoTiff
from p2pkit_geo.samples import Chips, SampleDataset, as_pairs, torchgeo_pairs
from p2pkit_geo.tiles import geo_tiles

P2PKIT_PLUGIN_API = 2

__all__ = ["Chips", "GeoTiff", "SampleDataset", "as_pairs", "geo_tiles", "torchgeo_pairs"]


@p2pkit.hookimpl
def p2pkit_readers() -> Iterator[p2pkit.Reader]:
    """Offer the reader of rasters."""
    yield p2pkit.Reader("geotiff", GeoTiff, suffixes=(".tif", ".tiff", ".vrt"))


@p2pkit.hookimpl
def p2pkit_datasets() -> Iterator[p2pkit.Dataset]:
    """Offer tiles of scenes, and torchgeo's data sets."""
    yield p2pkit.Dataset("geo_tiles", geo_tiles)
    yield p2pkit.Dataset("torchgeo_pairs", torchgeo_pairs)
