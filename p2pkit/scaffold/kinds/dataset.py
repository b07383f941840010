"""A data set to begin with: drawn gradients, noisy and clean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, overload

import torch
from pydantic import Field
from torch import Tensor

import p2pkit

P2PKIT_PLUGIN_API = 2


@dataclass(frozen=True)
class Gradients(Sequence[p2pkit.Pair]):
    """The pairs of one split, each drawn when it is asked for; it depends on seed, split and index alone."""

    split: str
    length: int
    height: int
    width: int
    noise: float
    seed: int

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> p2pkit.Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[p2pkit.Pair]: ...
    def __getitem__(self, index: int | slice) -> p2pkit.Pair | Sequence[p2pkit.Pair]:
        """Return one pair, or a list of several."""
        if isinstance(index, slice):
            return [self[i] for i in range(self.length)[index]]
        index = range(self.length)[index]
        dice = torch.Generator().manual_seed(2 * (self.seed * 1_000_003 + index) + (self.split == "val"))
        clean, share = self._waves(dice), torch.rand(1, generator=dice)
        noisy = clean + share * self.noise * torch.randn(clean.shape, generator=dice)
        return p2pkit.Pair(_stored(noisy), _stored(clean), f"{self.split}-{index:05d}", {"share": share})

    def _waves(self, dice: torch.Generator) -> Tensor:
        """Draw one slow wave for each colour, of values between 0 and 255."""
        across, along, phase = torch.rand(3, 3, 1, 1, generator=dice) * math.tau
        rows = torch.linspace(0, 1, self.height).view(1, -1, 1)
        columns = torch.linspace(0, 1, self.width).view(1, 1, -1)
        return 127.5 + 127.5 * torch.sin(across * columns + along * rows + phase)


@dataclass(frozen=True)
class GradientsDataset:
    """A data set of drawn gradients; see `p2pkit.PairDataset`."""

    spec: p2pkit.PairSpec
    counts: dict[str, int]
    noise: float
    seed: int

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.counts)

    def pairs(self, split: str) -> Gradients:
        """Return the pairs of a split."""
        return Gradients(split, self.counts[split], self.spec.height, self.spec.width, self.noise, self.seed)

    def at(self, height: int, width: int) -> GradientsDataset:
        """Return the same gradients at another size."""
        return replace(self, spec=replace(self.spec, height=height, width=width))

    def fingerprint(self, split: str) -> str:
        """Return a text that changes when the pairs do."""
        return f"{self.seed}-{self.noise}-{self.counts[split]}"


def gradients(
    *,
    size: Annotated[int, Field(ge=8, le=4096, description="Side of the images.")] = 64,
    count: Annotated[int, Field(ge=1, description="Training pairs; `val` has 16.")] = 256,
    noise: Annotated[float, Field(ge=0, le=255, description="Largest standard deviation of the noise.")] = 64.0,
    seed: Annotated[int, Field(ge=0, le=2**31, description="Another seed draws other pairs.")] = 0,
) -> GradientsDataset:
    """Smooth gradients of colour, to be found again under noise, of which the extra `share` says how much there is.

    Args:
        size: Side of the images.
        count: Number of training pairs.
        noise: Largest standard deviation of the noise, of values between 0 and 255.
        seed: Another seed draws other pairs.

    Returns:
        The data set.

    Shape: source (3, size, size), target (3, size, size), both uint8; share (1,), from 0 to 1.
    Source: drawn, from no publication.
    """
    colour, extras = p2pkit.ImageSpec(3), {"share": p2pkit.VectorSpec(1)}
    spec = p2pkit.PairSpec(colour, colour, size, size, extras=extras)
    return GradientsDataset(spec, {"train": count, "val": 16}, noise, seed)


def _stored(image: Tensor) -> Tensor:
    return image.round().clamp(0, 255).to(torch.uint8)


@p2pkit.hookimpl
def p2pkit_datasets() -> Iterator[p2pkit.Dataset]:
    """Offer this plugin's data sets."""
    yield p2pkit.Dataset("gradients", gradients)
