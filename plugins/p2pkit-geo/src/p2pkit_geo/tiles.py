"""The data set of tiles that are cut out of large scenes, window by window."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import p2pkit
import torch
from numpy.typing import NDArray
from p2pkit import ImageSpec, LazyPairs, Pair, PairSpec, split_of
from pydantic import Field
from torch import Tensor

from p2pkit_geo.rasters import Band, Bands, Scale, opened
from p2pkit_geo.scenes import Counting, Tile, find_scenes, split_tiles
from p2pkit_geo.statistics import percentiles_of, settled_scale, side_spec

BandList = Annotated[tuple[Band, ...], Field(description="Bands: numbers from 1, names, or colours; empty: all.")]
Ends = tuple[float, float]
VALID = "valid"


@dataclass(frozen=True)
class TilePairs(LazyPairs):
    """The pairs of one split, read when they are asked for."""

    tiles: tuple[Tile, ...]
    spec: PairSpec
    counting: Counting

    def __len__(self) -> int:
        return len(self.tiles)

    def pair(self, index: int) -> Pair:
        """Read one pair; `DataError` names a raster that can't be read."""
        tile = self.tiles[index]
        source = self._image(tile, tile.scene.source, self.counting.source, self.spec.source)
        target = self._image(tile, tile.scene.target, self.counting.target, self.spec.target)
        extras = {}
        if self.spec.mask:
            counts = torch.from_numpy(self.counting.of(tile)).to(torch.uint8)[None] * 255
            extras = {VALID: self._sized(counts, nearest=True)}
        return Pair(source, target, tile.name, extras)

    def _image(self, tile: Tile, path: Path, bands: Bands, spec: ImageSpec) -> Tensor:
        try:
            with opened(path) as raster:
                stored = p2pkit.conform(tensor_of(bands.read(raster, tile.window)), spec)
        except OSError as error:
            remedy = "mend the raster, or leave such tiles out with `unreadable: skip`"
            raise p2pkit.DataError(p2pkit.Problem(f"{path} at {tile.name}", str(error), remedy)) from None
        return self._sized(stored, nearest=spec.kind == "labels")

    def _sized(self, image: Tensor, *, nearest: bool) -> Tensor:
        return p2pkit.resize(image, self.spec.height, self.spec.width, nearest=nearest)


def tensor_of(pixels: NDArray[np.generic]) -> Tensor:
    """Return values as p2pkit stores them: (C, H, W) of a type that it knows."""
    kinds = {"u1": "uint8", "u2": "uint16", "i1": "int16", "i2": "int16"}
    kind = kinds.get(pixels.dtype.str[1:], "float32" if pixels.dtype.kind == "f" else "int32")
    return torch.from_numpy(np.array(pixels, kind, order="C"))


@dataclass(frozen=True)
class TileDataset:
    """Tiles of scenes; see `p2pkit.PairDataset`.

    Args:
        spec: What the images are.
        tiles: The tiles of each split.
        counting: Which bands are taken, and where pixels count.
        notes: What is to be known of the scenes.
    """

    spec: PairSpec
    tiles: Mapping[str, tuple[Tile, ...]]
    counting: Counting
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.tiles)

    def pairs(self, split: str) -> TilePairs:
        """Return the pairs of a split, scene by scene; `DataError` where there is no such split."""
        return TilePairs(split_of(self.tiles, split), self.spec, self.counting)

    def at(self, height: int, width: int) -> TileDataset:
        """Return the same data at another size."""
        return replace(self, spec=replace(self.spec, height=height, width=width))

    def fingerprint(self, split: str) -> str:
        """Return a text that changes with the rasters, the tiles and the parameters."""
        facts = hashlib.sha256(f"{split} {self.spec} {self.counting}".encode())
        tiles = split_of(self.tiles, split)
        for path in dict.fromkeys(path for tile in tiles for path in tile.scene.files):
            stamp = path.stat()
            facts.update(f"{path.name} {stamp.st_size} {stamp.st_mtime_ns}\n".encode())
        facts.update("\n".join(f"{tile.name} {tile.side}" for tile in tiles).encode())
        return facts.hexdigest()[:12]


def geo_tiles(
    *,
    source: Annotated[Path, Field(description="Raster that fakes are made of, or a folder of several.")],
    target: Annotated[Path, Field(description="Raster that they should be, on the same grid; or a folder.")],
    mask: Annotated[
        Path | None, Field(description="Raster that says what counts, for instance of clouds; or a folder.")
    ] = None,
    ignored: Annotated[
        tuple[int, ...], Field(description="Values of the mask that mean that a pixel does not count.")
    ] = (0,),
    size: Annotated[int, Field(ge=8, le=8192, description="Side of a tile, in pixels.")] = 256,
    stride: Annotated[int | None, Field(ge=1, description="From one tile to the next; null: as `size`.")] = None,
    block: Annotated[
        int | None,
        Field(ge=8, description="Side of the areas that are for training or for evaluation; null: 4 x `size`."),
    ] = None,
    held_out: Annotated[float, Field(ge=0, lt=1, description="Share of these areas that is `val`.")] = 0.1,
    least_valid: Annotated[float, Field(ge=0, le=1, description="Share of a tile that has to count.")] = 0.5,
    source_bands: BandList = (),
    target_bands: BandList = (),
    source_classes: Annotated[int | None, Field(ge=2, le=255, description="Number of the source's classes.")] = None,
    target_classes: Annotated[int | None, Field(ge=2, le=255, description="Number of the target's classes.")] = None,
    source_range: Annotated[
        Ends | tuple[Ends, ...] | None,
        Field(
            description="Values that become -1 and 1, for all bands or for each; null: bytes as they are, else "
            "percentiles."
        ),
    ] = None,
    target_range: Annotated[
        Ends | None,
        Field(description="The same for all bands of the target; null: bytes as they are, else percentiles."),
    ] = None,
    percentiles: Annotated[
        Ends, Field(description="Percentiles of the training tiles that become -1 and 1 where no range is given.")
    ] = (2.0, 98.0),
    source_shown: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(description="Which of the taken bands pictures show, three or one, from 0; empty: the first."),
    ] = (),
) -> TileDataset:
    """Pairs of tiles that are cut out of rasters, window by window; what they hold nothing in does not count.

    Areas are for training or for evaluation as a whole, so that no pixel is in both. Ranges are settled once, by a
    sample of the training tiles, and stored with the model, so that `translate` reads rasters as they were trained on.

    Raises:
        p2pkit.ComponentError: Rasters are missing or on other grids, bands are not there, or no tile is left.
    """
    scenes = find_scenes(source.expanduser(), target.expanduser(), mask.expanduser() if mask else None)
    counting = Counting(Bands(source_bands), Bands(target_bands), ignored)
    try:
        sparse = counting.anywhere(scenes)
        found = split_tiles(
            scenes, side=size, stride=stride or size, block=max(block or 4 * size, size), held_out=held_out
        )
        kept = [tuple(counting.enough(tiles, least_valid)) if sparse else tuple(tiles) for tiles in found]
    except OSError as error:
        raise p2pkit.ComponentError(str(error), parameter="source_bands") from None
    if not kept[0]:
        cause = (
            f"of {len(found[0])} tiles of {size} x {size} for training none is left of which {least_valid:.0%} counts"
        )
        raise p2pkit.ComponentError(cause, remedy="lower size, block or least_valid", parameter="size")
    sample = kept[0][:: max(1, len(kept[0]) // 64)][:64]
    scale = () if source_classes else _source_scale(sample, counting, source_range, percentiles)
    taken = Bands(source_bands, scale)
    made_from = side_spec(sample, "source", taken, source_classes, None, counting, percentiles, source_shown)
    made_of = side_spec(sample, "target", counting.target, target_classes, target_range, counting, percentiles)
    params = {"bands": list(source_bands), "scale": [list(ends) for ends in scale]}
    reading = p2pkit.Reading(suffix=".tif", reader=p2pkit.ReaderChoice("geo:geotiff", params))
    extras = {VALID: ImageSpec(1)} if sparse else {}
    spec = PairSpec(made_from, made_of, size, size, reading, extras, VALID if sparse else "")
    left = sum(map(len, found)) - sum(map(len, kept))
    notes = (f"{left} tiles are left out, of which less than {least_valid:.0%} counts",) if left else ()
    splits = {"train": kept[0], **({"val": kept[1]} if kept[1] else {})}
    return TileDataset(spec, splits, replace(counting, source=taken), notes)


def _source_scale(
    sample: Sequence[Tile], counting: Counting, given: Ends | tuple[Ends, ...] | None, percentiles: Ends
) -> Scale:
    """Return the ranges of the source's bands: those that are given, or percentiles; none for bytes."""
    if given is not None:
        return settled_scale(given)
    with opened(sample[0].scene.source) as raster:
        numbers = counting.source.numbers(raster)
        if all(raster.dtypes[number - 1] == "uint8" for number in numbers):
            return ()
    return percentiles_of(sample, "source", counting, percentiles)
