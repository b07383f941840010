"""Made-up landscapes to try things on: fields, woods, a river and a town, as a radar and as a camera see them.

`python -m p2pkit_geo.landscapes data` writes one to train on, and another one a few kilometres to the east.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

Map = NDArray[np.float64]
_LOOKS = 6
"""How many looks a radar's speckle is the mean of."""
_WATER, _WOOD, _TOWN, _STREET, _FIRST_CROP = range(5)
_COVERS = (
    ((-21, -28), (420, 480, 300, 90)),
    ((-9, -14), (220, 380, 250, 2900)),
    ((-3, -9), (1500, 1480, 1600, 2100)),
    ((-16, -23), (1150, 1180, 1250, 1500)),
    ((-14, -19), (500, 900, 560, 3600)),
    ((-12, -20), (900, 1500, 1900, 3000)),
    ((-11, -16), (600, 1000, 500, 4300)),
    ((-17, -24), (1100, 1350, 1700, 2200)),
)
"""What is there: backscatter of both polarisations in decibels, and reflectance of blue, green, red and infrared."""
RADAR, CAMERA = ("vv", "vh"), ("blue", "green", "red", "nir")


def landscape(seed: int, side: int) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Draw a landscape as a radar sees it, with speckle, and as a camera does.

    Args:
        seed: Settles which.
        side: Rows and columns.

    Returns:
        Backscatter in decibels (2, H, W), and reflectance times 10,000 (4, H, W).
    """
    dice = np.random.default_rng(seed)
    cover, relief = _cover(dice, side), _smooth(dice, side, 90)
    radar, camera = (np.array([each[of] for each in _COVERS], float)[cover] for of in (0, 1))
    speckle = 10 * np.log10(dice.gamma(_LOOKS, 1 / _LOOKS, (side, side, 2)))
    light = 1 + 0.08 * relief + 0.03 * _smooth(dice, side, 4)
    shade = camera * light[..., None] + dice.normal(0, 25, camera.shape)
    backscatter = radar + 0.7 * relief[..., None] + speckle
    return (
        np.moveaxis(backscatter, 2, 0).astype(np.float32),
        np.moveaxis(shade.clip(1, 10_000), 2, 0).round().astype(np.uint16),
    )


def _cover(dice: np.random.Generator, side: int) -> NDArray[np.intp]:
    """Say for each pixel what is there."""
    rows, columns = np.indices((side, side))
    fields = max(8, side * side // 4000)
    places = dice.uniform(0, side, (fields, 2))
    crops = dice.integers(_FIRST_CROP, len(_COVERS), fields)
    bend = 2 * _smooth(dice, side, 25)
    nearest, least = np.zeros((side, side), int), np.full((side, side), np.inf)
    for number, (row, column) in enumerate(places):  # one field at a time: all at once would fill the memory
        apart = np.abs(rows + bend - row) + 0.6 * np.abs(columns - bend - column)
        nearest, least = np.where(apart < least, number, nearest), np.minimum(apart, least)
    cover = crops[nearest]
    cover[_smooth(dice, side, 30) > 0.9] = _WOOD
    town = _smooth(dice, side, 35) > 1.5
    blocks = (rows % 10 > 2) & (columns % 14 > 2)
    cover[town] = np.where(blocks, _TOWN, _STREET)[town]
    cover[np.abs(_smooth(dice, side, 120)) < 0.06] = _WATER
    return cover


def _smooth(dice: np.random.Generator, side: int, scale: float) -> Map:
    """Draw hills of about a width, with a mean of 0 and a deviation of 1."""
    rough = np.fft.rfft2(dice.normal(size=(side, side)))
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    hills = np.fft.irfft2(rough * np.exp(-2 * (np.pi * scale / 3) ** 2 * (down**2 + across**2)), (side, side))
    smooth: Map = (hills - hills.mean()) / hills.std()
    return smooth


def write_landscapes(root: Path, side: int = 1024) -> None:
    """Write a landscape as `radar.tif` and `optical.tif`, and another one in the folder `elsewhere`.

    Args:
        root: Folder for them.
        side: Rows and columns of the first; the other has half of them.
    """
    for seed, folder, length in ((0, root, side), (1, root / "elsewhere", side // 2)):
        folder.mkdir(parents=True, exist_ok=True)
        radar, camera = landscape(seed, length)
        pictures: tuple[tuple[str, NDArray[Any], tuple[str, ...]], ...]
        pictures = (("radar", radar, RADAR), ("optical", camera, CAMERA))
        for name, values, bands in pictures:
            place = rasterio.Affine(10, 0, 500_000 + seed * 20_000, 0, -10, 5_400_000)
            shape = {"count": len(values), "height": length, "width": length, "dtype": values.dtype.name}
            lies = {"crs": "EPSG:32632", "transform": place, "compress": "deflate"}
            with rasterio.open(folder / f"{name}.tif", "w", "GTiff", **shape, **lies) as file:
                file.write(values)
                file.descriptions = bands


if __name__ == "__main__":
    write_landscapes(Path(sys.argv[1]))
