"""Rasters as rasterio opens them: chosen bands of any window, on a scale, and where they hold something."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pydantic import Field
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

Band = Annotated[int, Field(ge=1)] | str
Scale = tuple[tuple[float, float], ...]
WHITE = 65535
_CACHE = 64 * 2**20
"""Bytes of decoded blocks that GDAL keeps; by default they are a twentieth of the machine's memory."""


@dataclass(frozen=True)
class Bands:
    """Which bands are taken, and which of their values become black and white.

    Args:
        names: Numbers from 1, names, or colours such as `red`; none for all bands.
        scale: For each band, or once for all, the values that become 0 and 65535; none for values as they are.
    """

    names: tuple[Band, ...] = ()
    scale: Scale = ()

    def numbers(self, raster: Any) -> list[int]:
        """Return the numbers of the bands in a raster.

        Raises:
            OSError: It lacks one.
        """
        return [_number(raster, name) for name in self.names] if self.names else list(raster.indexes)

    def read(self, raster: Any, window: Window | None = None) -> NDArray[np.generic]:
        """Read a window, or all; where a raster holds nothing, it is black.

        Raises:
            OSError: The window can't be read.

        Shape: (C, H, W).
        """
        numbers = self.numbers(raster)
        pixels: NDArray[np.generic] = raster.read(numbers, window=window)
        empty = holds_nothing(raster, window, numbers)
        if self.scale:
            pixels = self._scaled(pixels)
        if empty is not None:
            pixels[:, empty] = 0
        return pixels

    def _scaled(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        if len(self.scale) not in (1, len(pixels)):
            raise OSError(f"has {len(pixels)} bands, and {len(self.scale)} ranges are given for them")
        scaled = np.empty(pixels.shape, np.uint16)
        for number, band in enumerate(pixels):  # one at a time: rows of a scene are long
            low, high = self.scale[number % len(self.scale)]
            shares = (band.astype(np.float32) - np.float32(low)) * np.float32(WHITE / (high - low))
            scaled[number] = np.nan_to_num(shares, copy=False, nan=0.0).clip(0, WHITE).round()
        return scaled


def _number(raster: Any, name: Band) -> int:
    if isinstance(name, int):
        if name <= raster.count:
            return name
        raise OSError(f"has {raster.count} bands, counted from 1, and no band {name}")
    described = [(text or "").lower() for text in raster.descriptions]
    colours = [colour.name.lower() for colour in raster.colorinterp]
    for known in (described, colours):
        if name.lower() in known:
            return known.index(name.lower()) + 1
    names = ", ".join(sorted({text for text in (*described, *colours) if text and text != "undefined"})) or "none"
    raise OSError(f"has no band {name!r}; names of its bands: {names}")


def holds_nothing(
    raster: Any, window: Window | None, numbers: Sequence[int], side: int | None = None
) -> NDArray[np.bool_] | None:
    """Say where a raster holds nothing in any of its bands; None where it does everywhere, by its own word.

    Args:
        raster: The raster.
        window: What part of it; None for all.
        numbers: Numbers of the bands.
        side: Rows and columns that are looked at, of a window that may have more; None for all.

    Shape: (H, W), or (side, side).
    """
    flags = [set(raster.mask_flag_enums[number - 1]) for number in numbers]
    floats = any(np.dtype(raster.dtypes[number - 1]).kind == "f" for number in numbers)
    shape = {} if side is None else {"out_shape": (len(numbers), side, side)}
    empty = None
    if any(flag != {rasterio.enums.MaskFlags.all_valid} for flag in flags):
        empty = np.asarray((raster.read_masks(numbers, window=window, **shape) == 0).any(0))
    if floats:
        unknown = np.asarray(~np.isfinite(raster.read(numbers, window=window, **shape)).all(0))
        empty = unknown if empty is None else empty | unknown
    return empty


def lies_anywhere() -> None:
    """Let rasters that lie nowhere be images like others, without a warning for each."""
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a raster; whatever GDAL raises becomes an `OSError`."""
    lies_anywhere()
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE), rasterio.open(path) as raster:
            yield raster
    except RasterioError as error:
        raise OSError(f"can't be read as a raster: {str(error).partition(chr(10))[0]}") from error
