"""GeoTIFF by rasterio: chosen bands on a scale, and the place on earth kept for what is written."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

import numpy as np
import p2pkit
import rasterio
from numpy.typing import NDArray
from pydantic import Field
from rasterio.control import GroundControlPoint
from rasterio.windows import Window

from p2pkit_geo.rasters import Band, Bands, Scale, holds_nothing, lies_anywhere, opened

_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MADE_BY = "p2pkit write_image"


@dataclass(frozen=True)
class Place:
    """What a raster holds beside its values, and a fake of it keeps.

    Args:
        crs: The coordinate reference system.
        transform: From pixels to coordinates.
        gcps: Ground control points, and their reference system.
        rpcs: Rational polynomial coefficients.
        empty: Where it holds nothing; None where it does everywhere.
        levels: Factors of its smaller copies.
        compressed: Whether it is packed.
    """

    crs: object
    transform: object
    gcps: tuple[tuple[tuple[float, ...], ...], object]
    rpcs: object
    empty: NDArray[np.bool_] | None = field(repr=False)
    levels: tuple[int, ...] = ()
    compressed: bool = False


class GeoTiff:
    """Rasters that rasterio reads: bands by number, name or colour, on a scale; the place on earth is kept.

    Where a raster holds nothing (nodata, a mask, not a number) values become 0, and its fake holds nothing there.

    Args:
        bands: The bands that are taken.
        scale: Values that become black and white in 16 bits.
    """

    def __init__(
        self,
        *,
        bands: Annotated[
            tuple[Band, ...],
            Field(description="Bands in this order: numbers from 1, names, or colours such as `red`; empty: all."),
        ] = (),
        scale: Annotated[
            Scale,
            Field(description="For each band, or once for all, the values that become black and white in 16 bits."),
        ] = (),
    ) -> None:
        for low, high in scale:
            if not low < high:
                cause = f"the lower end {low:g} is not below the upper end {high:g}"
                raise p2pkit.ComponentError(cause, parameter="scale")
        self.bands = Bands(tuple(bands), tuple(scale))

    def sniff(self, head: bytes) -> bool:
        """Say whether a file begins as a TIFF does."""
        return head[:4] in _BEGINNINGS

    def read(self, path: Path) -> p2pkit.ImageFile:
        """Read a raster, (H, W, C) or (H, W), and where it lies."""
        with opened(path) as raster:
            pixels = np.moveaxis(self.bands.read(raster), 0, 2)
            place = _place(raster, self.bands.numbers(raster))
        return p2pkit.ImageFile(pixels[..., 0] if pixels.shape[2] == 1 else pixels, place)

    def write(self, path: Path, image: p2pkit.ImageFile) -> None:
        """Write a GeoTIFF where the source lies, with a mask where that holds nothing."""
        pixels = image.pixels[..., None] if image.pixels.ndim == 2 else image.pixels
        place = image.meta if isinstance(image.meta, Place) else None
        lies_anywhere()
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **_profile(pixels, place)) as raster:
            raster.update_tags(TIFFTAG_SOFTWARE=_MADE_BY)
            raster.write(np.moveaxis(pixels, 2, 0))
            if place is None:
                return
            if place.gcps[0]:
                raster.gcps = [GroundControlPoint(*point) for point in place.gcps[0]], place.gcps[1]
            if place.rpcs is not None:
                raster.rpcs = place.rpcs
            if place.empty is not None:
                raster.write_mask(~place.empty)
            if place.levels:
                raster.build_overviews(place.levels, rasterio.enums.Resampling.average)

    def rows(self, path: Path) -> RasterRows:
        """Open a raster to be read by rows."""
        return RasterRows(path, self.bands)


def _place(raster: Any, numbers: list[int]) -> Place:
    points, system = raster.gcps
    gcps = tuple((point.row, point.col, point.x, point.y, point.z) for point in points)
    empty = holds_nothing(raster, None, numbers)
    empty = empty if empty is not None and empty.any() else None
    packed = raster.compression is not None
    return Place(raster.crs, raster.transform, (gcps, system), raster.rpcs, empty, tuple(raster.overviews(1)), packed)


def _profile(pixels: NDArray[np.generic], place: Place | None) -> dict[str, Any]:
    height, width, count = pixels.shape
    shape = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype.name}
    if count in (3, 4) and pixels.dtype == np.uint8:
        shape["photometric"] = "RGB"
    if place is None:
        return shape
    packed = {"compress": "deflate"} if place.compressed else {}
    tiled = {"tiled": True, "blockxsize": 256, "blockysize": 256} if place.levels else {}
    lies = {} if place.gcps[0] else {"crs": place.crs, "transform": place.transform}  # points say it all
    return {**shape, **packed, **tiled, **lies}


class RasterRows:
    """A raster of which any rows can be had without reading the others.

    Args:
        path: The file.
        bands: Which of its bands, and on which scale.
    """

    def __init__(self, path: Path, bands: Bands) -> None:
        self._open = ExitStack()
        self._raster: Any = self._open.enter_context(opened(path))
        self._bands = bands
        self.height: int = self._raster.height
        self.width: int = self._raster.width
        self.levels = len(self._raster.overviews(1))
        self.compressed = self._raster.compression is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def read(self, first: int, last: int) -> NDArray[np.generic]:
        """Read rows from `first` to before `last`, (last - first, W, C)."""
        window = Window(0, first, self.width, last - first)
        return np.moveaxis(self._bands.read(self._raster, window), 0, 2)
