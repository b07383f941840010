"""Images that are too large for a network at once: tiles that overlap, blended by weights whose sum is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from p2pkit.errors import DataError, Problem

WHOLE = 2**23
"""Pixels up to which an image goes through a network at once where nothing else is said; `unet_256` then takes 4 GB."""
TILE, OVERLAP = 512, 64
Rows = Callable[[int, int], Tensor]
"""Returns source rows from one to another."""
Run = Callable[[Tensor], Tensor]


def _as_it_is(image: Tensor) -> Tensor:
    return image


@dataclass(frozen=True, slots=True)
class Tiling:
    """How large tiles are.

    Args:
        tile: Side of a tile, in pixels; 0 for never.
        overlap: By how much tiles overlap at least; at most half a tile.
        always: Whether images that would fit are tiled too.
    """

    tile: int = TILE
    overlap: int = OVERLAP
    always: bool = False

    @classmethod
    def asked(cls, tile: int | None, overlap: int | None) -> Tiling:
        """Return what a user has asked for.

        Args:
            tile: Side of a tile; None for only where an image is too large, 0 for never.
            overlap: The overlap; None for an eighth of a tile.

        Raises:
            DataError: Tiles can't be had like this.
        """
        side = TILE if tile is None else tile
        over = side // 8 if overlap is None else overlap
        if side < 0:
            raise DataError(Problem("--tile", f"{side} is no side", "give a number of pixels, or 0 for no tiles"))
        if over < 0 or 2 * over > side:
            cause = f"tiles of {side} pixels can't overlap by {over}"
            raise DataError(Problem("--overlap", cause, f"give 0 to {side // 2}"))
        return cls(side, over, tile is not None)

    def along(self, dims: int) -> Tiling:
        """Return tiles of about as many pixels in as many dimensions, where nobody has asked for a side."""
        if self.always or dims == 2:
            return self
        return replace(self, tile=round(self.tile ** (2 / dims)), overlap=round(self.overlap ** (2 / dims)))

    def wanted(self, *size: int) -> bool:
        """Say whether an image of a size is translated tile by tile."""
        return self.tile > 0 and (self.always or math.prod(size) > WHOLE) and max(size) > self.tile


@dataclass(frozen=True)
class Axis:
    """Tiles along one side of an image.

    All of them begin at a multiple of what the network needs, so that they lie on its grid as the whole image would.

    Args:
        size: Pixels of the image.
        multiple: What the network needs.
        tiling: How large tiles are.
    """

    size: int
    multiple: int
    tiling: Tiling

    @cached_property
    def padded(self) -> int:
        """Pixels that the network needs."""
        return _up(self.size, self.multiple)

    @cached_property
    def tile(self) -> int:
        """Pixels of a tile."""
        return min(_up(self.tiling.tile, self.multiple), self.padded)

    @cached_property
    def starts(self) -> list[int]:
        """Where tiles begin; the last one ends with the image."""
        step = max(self.multiple, (self.tile - self.tiling.overlap) // self.multiple * self.multiple)
        spare = self.padded - self.tile
        return [min(index * step, spare) for index in range(math.ceil(spare / step) + 1)]

    @cached_property
    def weights(self) -> list[Tensor]:
        """How much each tile counts at each of its pixels: it fades out to its ends, and the sum is one everywhere."""
        place = torch.arange(self.tile)
        ramp = torch.minimum(place + 1, self.tile - place).clamp(max=self.tiling.overlap + 1).double()
        total = torch.zeros(self.padded, dtype=torch.float64)
        for start in self.starts:
            total[start : start + self.tile] += ramp
        return [(ramp / total[start : start + self.tile]).float() for start in self.starts]

    def before(self, index: int) -> Tensor:
        """Return how much the tiles before one count together where it begins, as far as they reach."""
        start = self.starts[index]
        total = torch.zeros(self.padded)
        for other, weight in zip(self.starts[:index], self.weights[:index], strict=True):
            total[other : other + self.tile] += weight
        reach = max((other + self.tile for other in self.starts[:index]), default=start)
        return total[start:reach]


@dataclass
class Seam:
    """How much tiles differ where they overlap: what blending has to hide.

    Args:
        most: The largest difference.
        total: The sum of all.
        count: Of how many values.
    """

    most: float = 0.0
    total: float = field(default=0.0, repr=False)
    count: int = field(default=0, repr=False)

    @property
    def mean(self) -> float:
        """The mean difference, of values in [-1, 1]."""
        return self.total / max(1, self.count)

    def compare(self, one: Tensor, other: Tensor) -> None:
        """Count an overlap in."""
        if one.numel():
            apart = (one - other).abs()
            self.most = max(self.most, float(apart.max()))
            self.total += float(apart.sum())
            self.count += apart.numel()

    def __str__(self) -> str:
        mean, most = self.mean * 127.5, self.most * 127.5
        return f"where tiles overlap they differ by {mean:.2g} of 255 on average, {most:.3g} at most"


def translate_rows(
    read: Rows, run: Run, axes: Sequence[Axis], seam: Seam, *, batch: int = 1, see: Run = _as_it_is
) -> Iterator[Tensor]:
    """Translate an image tile by tile, and yield its fake's rows, of a volume its slices, as soon as they are done.

    Args:
        read: Gives the source's rows, all columns.
        run: The generator.
        axes: Tiles along each side, in order; rows are along the first.
        seam: Hears where tiles differ.
        batch: Tiles of one forward pass.
        see: Turns a part of the rows into what the network sees.

    Shape: rows (C_stored, h, W); yields (C_target, h, W), both in [-1, 1].
    """
    rows, *others = axes
    tiles = _Tiles(run, seam, batch, see)
    inside = (slice(None), slice(None), *(slice(axis.size) for axis in others))
    carried: Tensor | None = None
    for index, start in enumerate(rows.starts):
        made = tiles.blended(read(start, min(start + rows.tile, rows.size)), (rows.tile,), others)
        if carried is not None:
            seam.compare(carried / _along(rows.before(index), made, 1), made[:, : carried.shape[1]])
        blended = made.mul_(_along(rows.weights[index], made, 1))
        if carried is not None:
            blended[:, : carried.shape[1]] += carried
        last = index + 1 == len(rows.starts)
        done = (rows.size if last else rows.starts[index + 1]) - start
        yield blended[:, :done][inside]
        carried = blended[:, done:].clone()
        del made, blended  # before the next rows are read, which are as large


@dataclass(frozen=True)
class _Tiles:
    """How tiles are translated.

    Args:
        run: The generator.
        seam: Hears where tiles differ.
        batch: Tiles of one forward pass.
        see: Turns a part of the source into what the network sees.
    """

    run: Run
    seam: Seam
    batch: int
    see: Run

    def blended(self, source: Tensor, sides: tuple[int, ...], axes: Sequence[Axis]) -> Tensor:
        """Translate a part of the source, and blend its tiles along all axes but those that it has been cut along.

        Args:
            source: The part.
            sides: Its sides along those, to which it is padded.
            axes: The axes that are left.
        """
        axis, *others = axes
        side = len(sides) + 1
        parts = (source.narrow(side, start, min(axis.tile, axis.size - start)) for start in axis.starts)
        sizes = *sides, axis.tile
        fakes = (self.blended(part, sizes, others) for part in parts) if others else self._translated(parts, sizes)
        made: Tensor | None = None
        for index, (start, fake) in enumerate(zip(axis.starts, fakes, strict=True)):
            if made is None:
                made = torch.zeros(*fake.shape[:side], axis.padded, *fake.shape[side + 1 :])
            before = axis.before(index)
            there = made.narrow(side, start, len(before)) / _along(before, fake, side)
            self.seam.compare(there, fake.narrow(side, 0, len(before)))
            made.narrow(side, start, axis.tile).add_(fake * _along(axis.weights[index], fake, side))
        assert made is not None
        return made

    def _translated(self, parts: Iterator[Tensor], size: tuple[int, ...]) -> Iterator[Tensor]:
        """Translate tiles, some at a time."""
        while some := [padded(self.see(part), size) for part in islice(parts, self.batch)]:
            yield from self.run(torch.stack(some))


def _along(weights: Tensor, fake: Tensor, side: int) -> Tensor:
    """Bring one number for each place along a side to the shape of a fake."""
    return weights.view(-1, *[1] * (fake.ndim - 1 - side))


def padded(image: Tensor, size: Sequence[int]) -> Tensor:
    """Pad at the far end of each side, by reflection as far as that reaches, then by the border.

    Args:
        image: An image or a volume, or a batch of them.
        size: The sides wanted.

    Shape: (..., C, H, W) -> (..., C, *size), or with a depth.
    """
    batch = image if image.ndim == len(size) + 2 else image[None]
    lacking = [wanted - side for wanted, side in zip(size, batch.shape[2:], strict=True)]
    reflect = [min(count, side - 1) for count, side in zip(lacking, batch.shape[2:], strict=True)]
    border = [count - done for count, done in zip(lacking, reflect, strict=True)]
    for counts, mode in ((reflect, "reflect"), (border, "replicate")):
        ends = [end for count in reversed(counts) for end in (0, count)]  # torch counts sides from the last one
        batch = functional.pad(batch, ends, mode=mode)
    return batch if image.ndim == len(size) + 2 else batch[0]


def whole_image_layers(generator: nn.Module, batch_norm: str) -> list[str]:
    """Name the kinds of a network's layers that look at all of an image, to which each tile is an image of its own."""
    kinds = [
        _InstanceNorm,
        nn.GroupNorm,
        nn.LayerNorm,
        nn.AdaptiveAvgPool2d,
        nn.AdaptiveAvgPool3d,
        nn.MultiheadAttention,
    ]
    wanted = (*kinds, _BatchNorm) if batch_norm == "batch" else tuple(kinds)
    found = {type(module).__name__ for module in generator.modules() if isinstance(module, wanted)}
    return sorted(found)


def _up(size: int, multiple: int) -> int:
    return math.ceil(size / multiple) * multiple
