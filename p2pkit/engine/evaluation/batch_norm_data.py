"""Training sources from which batch norm's statistics are gathered anew."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from p2pkit.engine.data.pair_sources import BatchOrder, PairSource
from p2pkit.engine.device.placement import Placement
from p2pkit.images.convert import resize, to_network
from p2pkit.types import PairSpec
from p2pkit.untyped import Json

MOST = 1000
"""Pairs that are looked at: more change the statistics by next to nothing."""


@dataclass(frozen=True)
class BatchNormCalibrationSet:
    """Batches of training sources as evaluations see theirs: not augmented, at the size of the run's images.

    Args:
        stored: The training pairs, at whatever size augmentations want them.
        images: What the run's images are.
        batch: Pairs of a batch.
        place: Where to.
    """

    stored: PairSource
    images: PairSpec
    batch: int
    place: Placement

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the sources, (B, C_source, H, W) in [-1, 1]."""
        order = BatchOrder(self.batch, seed=0 if len(self.stored) > MOST else None)
        spec, size = self.images.source, (self.images.height, self.images.width)
        for stored, _ in islice(self.stored.epoch(order), math.ceil(MOST / self.batch)):
            sized = torch.stack([resize(image, *size, nearest=spec.kind == "labels") for image in stored])
            source = to_network(sized.to(self.place.device), spec)
            yield source.contiguous(memory_format=self.place.memory_format)

    def protocol(self) -> dict[str, Json]:
        """Return what the statistics depend on, beside the network."""
        return {"recalibrated": f"{min(len(self.stored), MOST)} training pairs, {self.batch} at a time"}
