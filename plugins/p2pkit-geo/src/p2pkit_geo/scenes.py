"""Scenes: rasters of one place that lie on one grid, and the tiles that they are cut into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import p2pkit
from numpy.typing import NDArray
from rasterio.windows import Window

from p2pkit_geo.rasters import Bands, holds_nothing, opened

_COARSE = 4
"""Every so manieth pixel says how much of a tile counts."""


@dataclass(frozen=True)
class Scene:
    """Rasters of one place.

    Args:
        name: The file's name without suffix.
        source: The raster that fakes are made of.
        target: What they should be.
        mask: A raster that says what counts; None for none.
    """

    name: str
    source: Path
    target: Path
    mask: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files."""
        return tuple(path for path in (self.source, self.target, self.mask) if path is not None)


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of a scene, by its first row and column."""

    scene: Scene
    row: int
    column: int
    side: int

    @property
    def name(self) -> str:
        """What the pair is called."""
        return f"{self.scene.name}/{self.row:06}_{self.column:06}"

    @property
    def window(self) -> Window:
        """The tile as rasterio takes it."""
        return Window(self.column, self.row, self.side, self.side)


def find_scenes(source: Path, target: Path, mask: Path | None) -> list[Scene]:
    """Find the rasters of each place by their names; files alone are one place, whatever they are called.

    Raises:
        p2pkit.ComponentError: Files are missing, or lie on other grids.
    """
    given = {"source": source, "target": target, **({"mask": mask} if mask is not None else {})}
    for parameter, path in given.items():
        if not path.exists():
            raise p2pkit.ComponentError(f"there is no file or folder {path}", parameter=parameter)
        if path.is_dir() is not source.is_dir():
            cause = f"{path} is {'a folder' if path.is_dir() else 'a file'}, and {source} is none"
            raise p2pkit.ComponentError(cause, remedy="give files, or folders", parameter=parameter)
    if not source.is_dir():
        scenes = [Scene(source.stem, source, target, mask)]
    else:
        found = {parameter: _rasters(path, parameter) for parameter, path in given.items()}
        for parameter, files in found.items():
            alone = sorted(files.keys() ^ found["source"].keys())
            if alone:
                cause = f"{alone[0]} is in one of {source} and {given[parameter]} only"
                raise p2pkit.ComponentError(cause, remedy="name rasters of one place alike", parameter=parameter)
        scenes = [Scene(name, *(files[name] for files in found.values())) for name in sorted(found["source"])]
    for scene in scenes:
        _check_grid(scene)
    return scenes


def _rasters(folder: Path, parameter: str) -> dict[str, Path]:
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".tif", ".tiff", ".vrt", ".jp2")]
    if not files:
        raise p2pkit.ComponentError(f"{folder} holds no rasters (.tif, .tiff, .vrt, .jp2)", parameter=parameter)
    return {path.stem: path for path in files}


def _check_grid(scene: Scene) -> None:
    """Refuse rasters whose pixels are not those of the source."""
    try:
        with opened(scene.source) as raster:
            shape, transform, system = raster.shape, raster.transform, raster.crs
        for path, parameter in ((scene.target, "target"), (scene.mask, "mask")):
            if path is None:
                continue
            with opened(path) as other:
                placed = other.crs is not None and system is not None
                alike = not placed or (other.crs == system and other.transform.almost_equals(transform, 1e-6))
                if other.shape == shape and alike:
                    continue
                cause = (
                    f"{path} is of {_grid(other.shape, other.transform)}, {scene.source} of {_grid(shape, transform)}"
                )
            remedy = f"bring it to the source's grid: rio warp {path.name} warped.tif --like {scene.source.name}"
            raise p2pkit.ComponentError(cause, remedy=remedy, parameter=parameter)
    except OSError as error:
        raise p2pkit.ComponentError(f"{scene.name}: {error}", parameter="source") from None


def _grid(shape: Sequence[int], transform: object) -> str:
    return f"{shape[1]} x {shape[0]} pixels at {tuple(transform)[:6]}"  # type: ignore[arg-type]  # a tuple of numbers


def split_tiles(
    scenes: Sequence[Scene], *, side: int, stride: int, block: int, held_out: float
) -> tuple[list[Tile], list[Tile]]:
    """Cut scenes into tiles for training and for evaluation.

    Each scene is divided into blocks, and a block is for one of both as a whole: no tile crosses its border, so that
    none for evaluation shares a pixel with one for training. Hashes of names and places say what a block is for, so
    that further scenes move none of the others.

    Args:
        scenes: The scenes.
        side: Side of a tile.
        stride: From one tile to the next.
        block: Side of a block.
        held_out: Which share of the blocks is for evaluation; of several at least one.
    """
    train: list[Tile] = []
    val: list[Tile] = []
    every: list[list[Tile]] = []
    for scene in scenes:
        blocks = _blocks(scene, side, stride, block)
        held = sorted(blocks, key=p2pkit.hashed_share)[: int(held_out * len(blocks) + p2pkit.hashed_share(scene.name))]
        train += [tile for name, tiles in blocks.items() if name not in held for tile in tiles]
        val += [tile for name in held for tile in blocks[name]]
        every += blocks.values()
    if held_out and not val and len(every) > 1:
        val = every.pop()
        train = [tile for tiles in every for tile in tiles]
    return train, val


def _blocks(scene: Scene, side: int, stride: int, block: int) -> dict[str, list[Tile]]:
    """Return the tiles of each block of a scene, by the block's name."""
    with opened(scene.source) as raster:
        height, width = raster.shape
    blocks: dict[str, list[Tile]] = {}
    for top, left in product(range(0, height, block), range(0, width, block)):
        rows = range(top, min(top + block, height) - side + 1, stride)
        columns = range(left, min(left + block, width) - side + 1, stride)
        if tiles := [Tile(scene, row, column, side) for row, column in product(rows, columns)]:
            blocks[f"{scene.name}/{top}_{left}"] = tiles
    return blocks


@dataclass(frozen=True)
class Counting:
    """Where pixels of a scene count: where source and target hold something, and the mask says nothing against it.

    Args:
        source: The source's bands.
        target: The target's bands.
        ignored: Values of the mask that mean that a pixel does not count.
    """

    source: Bands
    target: Bands
    ignored: tuple[int, ...] = (0,)

    def anywhere(self, scenes: Sequence[Scene]) -> bool:
        """Say whether there may be pixels that do not count."""
        return any(scene.mask is not None or self._sparse(scene) for scene in scenes)

    def _sparse(self, scene: Scene) -> bool:
        corner = Window(0, 0, 1, 1)
        for path, bands in ((scene.source, self.source), (scene.target, self.target)):
            with opened(path) as raster:
                if holds_nothing(raster, corner, bands.numbers(raster)) is not None:
                    return True
        return False

    def of(self, tile: Tile, every: int = 1) -> NDArray[np.bool_]:
        """Return where a tile's pixels count, (H, W).

        Args:
            tile: The tile.
            every: Look at every so manieth pixel of every so manieth row alone, and at one band.
        """
        side = max(1, tile.side // every)
        counts = np.ones((side, side), bool)
        for path, bands in ((tile.scene.source, self.source), (tile.scene.target, self.target)):
            with opened(path) as raster:
                numbers = bands.numbers(raster)[: None if every == 1 else 1]
                empty = holds_nothing(raster, tile.window, numbers, side)
                counts &= True if empty is None else ~empty
        if tile.scene.mask is not None:
            with opened(tile.scene.mask) as raster:
                counts &= ~np.isin(raster.read(1, window=tile.window, out_shape=(side, side)), self.ignored)
        return counts

    def enough(self, tiles: Sequence[Tile], least: float) -> Iterator[Tile]:
        """Yield the tiles of which about a share counts, or more."""
        yield from (tile for tile in tiles if self.of(tile, _COARSE).mean() >= least)
