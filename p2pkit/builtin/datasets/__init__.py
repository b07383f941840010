"""Data sets: files in several layouts, photos, label maps, shards, drawn shapes and the emoji of the package."""

from __future__ import annotations

from collections.abc import Iterable

import p2pkit
from p2pkit.builtin.datasets.labels import labels
from p2pkit.builtin.datasets.manifest import manifest
from p2pkit.builtin.datasets.paired_folders import paired_folders
from p2pkit.builtin.datasets.photos import colorize, edges
from p2pkit.builtin.datasets.shapes import shapes
from p2pkit.builtin.datasets.side_by_side import emoji, side_by_side
from p2pkit.builtin.datasets.webdataset import webdataset


@p2pkit.hookimpl
def p2pkit_datasets() -> Iterable[p2pkit.Dataset]:
    """Offer the built-in data sets."""
    for factory in (side_by_side, paired_folders, manifest, colorize, edges, labels, shapes, emoji, webdataset):
        yield p2pkit.Dataset(factory.__name__, factory)
