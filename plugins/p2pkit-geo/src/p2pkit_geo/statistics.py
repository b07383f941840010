"""What the values of scenes are, settled once by a sample of the tiles that are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import p2pkit
from numpy.typing import NDArray
from p2pkit import ImageSpec

from p2pkit_geo.rasters import WHITE, Bands, Scale, opened
from p2pkit_geo.scenes import Counting, Tile

Ends = tuple[float, float]
Side = Literal["source", "target"]
_EVERY = 7
"""Every so manieth pixel of a tile is looked at."""


def settled_scale(given: Ends | tuple[Ends, ...]) -> Scale:
    """Return the ranges of bands, one for each or one for all.

    Raises:
        p2pkit.ComponentError: A lower end is not below its upper end.
    """
    several = isinstance(given[0], tuple)
    scale = cast(Scale, given if several else (given,))
    for low, high in scale:
        if not low < high:
            cause = f"the lower end {low:g} is not below the upper end {high:g}"
            raise p2pkit.ComponentError(cause, parameter="source_range")
    return tuple((float(low), float(high)) for low, high in scale)


def percentiles_of(sample: Sequence[Tile], side: Side, counting: Counting, percentiles: Ends) -> Scale:
    """Return the percentiles of each band, of pixels that count.

    Raises:
        p2pkit.ComponentError: They are no range: a band holds one value alone, or they are in the wrong order.
    """
    values = np.concatenate([_values(tile, side, counting) for tile in sample], axis=1)
    ends = np.percentile(values.astype(np.float64), percentiles, axis=1).T
    for band, (low, high) in enumerate(ends, 1):
        if not low < high:
            which = f"percentiles {percentiles[0]:g} and {percentiles[1]:g} of the {side}'s band {band}"
            cause = f"{which} are {low:g} and {high:g}"
            raise p2pkit.ComponentError(cause, remedy=f"write {side}_range", parameter="percentiles")
    return tuple((float(low), float(high)) for low, high in ends)


def _values(tile: Tile, side: Side, counting: Counting) -> NDArray[np.generic]:
    path = tile.scene.source if side == "source" else tile.scene.target
    bands = counting.source if side == "source" else counting.target
    with opened(path) as raster:
        pixels = Bands(bands.names).read(raster, tile.window)
    return pixels[:, counting.of(tile)][:, ::_EVERY]


def side_spec(
    sample: Sequence[Tile],
    side: Side,
    bands: Bands,
    classes: int | None,
    declared: Ends | None,
    counting: Counting,
    percentiles: Ends,
    shown: tuple[int, ...] = (),
) -> ImageSpec:
    """Return what the images of a side are.

    Args:
        sample: Some tiles.
        side: Source or target.
        bands: The bands, and for a source the scale that brings them to 16 bits.
        classes: How many classes there are; None for values on a scale.
        declared: The range that is given for all bands.
        counting: Where pixels count.
        percentiles: Those that make a range where none is given and values are no bytes.
        shown: The bands that pictures show.

    Raises:
        p2pkit.ComponentError: The values can't be what is said.
    """
    path = sample[0].scene.source if side == "source" else sample[0].scene.target
    with opened(path) as raster:
        numbers = bands.numbers(raster)
        kind = np.result_type(*(raster.dtypes[number - 1] for number in numbers))
    count = len(numbers)
    if classes:
        if count != 1:
            cause = f"the {side} has {count} bands, where one of class indices is wanted"
            raise p2pkit.ComponentError(cause, remedy=f"write {side}_bands: [1]", parameter=f"{side}_classes")
        return ImageSpec(classes, kind="labels", unlabelled=(255,))
    if shown and (len(shown) not in (1, 3) or max(shown) >= count):
        cause = f"of {count} bands, from 0 to {count - 1}, pictures can't show {list(shown)}"
        raise p2pkit.ComponentError(cause, remedy="name three, or one", parameter=f"{side}_shown")
    if bands.scale:
        return ImageSpec(count, high=float(WHITE), shown=shown)
    if declared is None and kind == np.uint8:
        return ImageSpec(count, shown=shown)
    if declared is None:
        ends = percentiles_of(sample, side, counting, percentiles)
        declared = min(low for low, _ in ends), max(high for _, high in ends)
    if not declared[0] < declared[1]:
        cause = f"the lower end {declared[0]:g} is not below the upper end {declared[1]:g}"
        raise p2pkit.ComponentError(cause, parameter=f"{side}_range")
    low, high = declared
    if kind.kind in "iu":
        low, high = float(np.floor(low)), float(np.ceil(high))
    known = {"uint8", "uint16", "int16"}
    return ImageSpec(count, low=low, high=high, dtype=kind.name if kind.name in known else "", shown=shown)
