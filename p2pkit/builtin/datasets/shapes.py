"""Drawn pairs, for tests and first tries."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from PIL import Image, ImageDraw
from pydantic import Field
from torch import Tensor

from p2pkit import ImageSpec, LazyPairs, Pair, PairSpec, split_of
from p2pkit.builtin.datasets.sides import Side

Point = tuple[float, float]
CORNERS = {3: (46, 139, 87), 4: (65, 105, 225), 5: (255, 191, 0), 40: (220, 60, 60)}
"""Colour of each shape by its number of corners; that of forty is the circle."""


@dataclass(frozen=True)
class Shapes(LazyPairs):
    """The drawn pairs of one split; each depends on seed, split and index alone.

    Args:
        split: The split.
        length: Number of its pairs.
        height: Height of the drawings.
        width: Their width.
        seed: What all drawings depend on.
    """

    split: str
    length: int
    height: int
    width: int
    seed: int

    def __len__(self) -> int:
        return self.length

    def pair(self, index: int) -> Pair:
        """Draw one pair."""
        dice = random.Random(f"{self.seed} {self.split} {index}")
        source, target = (Image.new("RGB", (self.width, self.height), "white") for _ in range(2))
        pens = ImageDraw.Draw(source), ImageDraw.Draw(target)
        for _ in range(dice.randint(2, 4)):
            corners = dice.choice(list(CORNERS))
            outline = self._outline(corners, dice)
            pens[0].polygon(outline, fill="white", outline="black", width=max(1, min(self.height, self.width) // 32))
            pens[1].polygon(outline, fill=CORNERS[corners])
        return Pair(_stored(source), _stored(target), f"{self.split}-{index:05d}")

    def _outline(self, corners: int, dice: random.Random) -> list[Point]:
        """Place a regular polygon, in parts of the picture so that it is the same at every size."""
        x, y = dice.uniform(0.2, 0.8) * self.width, dice.uniform(0.2, 0.8) * self.height
        radius = dice.uniform(0.15, 0.3) * min(self.height, self.width)
        turn = dice.uniform(0, math.tau)
        angles = (turn + math.tau * corner / corners for corner in range(corners))
        return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


@dataclass(frozen=True)
class ShapesDataset:
    """A data set of drawn pairs; see `p2pkit.PairDataset`.

    Args:
        spec: What the drawings are.
        counts: Number of pairs of each split.
        seed: What all drawings depend on.
    """

    spec: PairSpec
    counts: dict[str, int]
    seed: int

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.counts)

    def pairs(self, split: str) -> Shapes:
        """Return the pairs of a split."""
        return Shapes(split, split_of(self.counts, split), self.spec.height, self.spec.width, self.seed)

    def at(self, height: int, width: int) -> ShapesDataset:
        """Return the same drawings at another size."""
        return replace(self, spec=replace(self.spec, height=height, width=width))

    def fingerprint(self, split: str) -> str:
        """Return a text that changes with the parameters."""
        return hashlib.sha256(repr(self.pairs(split)).encode()).hexdigest()[:12]


def shapes(
    *,
    size: Annotated[Side | tuple[Side, Side], Field(description="Side, or height and width, of the drawings.")] = 64,
    count: Annotated[
        int, Field(ge=1, le=10_000_000, description="Training pairs; an eighth as many, at least 8, are `val`.")
    ] = 256,
    seed: Annotated[int, Field(ge=0, description="Another seed draws other pairs.")] = 0,
) -> ShapesDataset:
    """Drawn outlines and the filled shapes that belong to them, each shape in its own colour.

    Circles, triangles, squares and pentagons are told apart by their outlines alone, so the colours can be learnt.
    """
    height, width = (size, size) if isinstance(size, int) else size
    counts = {"train": count, "val": max(8, count // 8)}
    return ShapesDataset(PairSpec(ImageSpec(3), ImageSpec(3), height, width), counts, seed)


def _stored(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image).transpose(2, 0, 1).copy())
