"""Training sources from which batch norm's statistics are gathered anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from p2pkit.engine.data.pair_sources import BatchOrder, PairSource
from p2pkit.engine.device.placement import Placement
from p2pkit.extras.values import draw, seen
from p2pkit.images.convert import resize_to
from p2pkit.types import ExtraSpec, ImageSpec, PairSpec
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

    def __iter__(self) -> Iterator[tuple[Tensor, Mapping[str, Tensor]]]:
        """Yield the sources, (B, C_source, H, W) in [-1, 1], and what stands beside them."""
        order = BatchOrder(self.batch, seed=0 if len(self.stored) > MOST else None)
        for number, stored in enumerate(islice(self.stored.epoch(order), math.ceil(MOST / self.batch))):
            held = {
                name: self.place.lay(seen(self._sized(each, spec).to(self.place.device), spec))
                for each, (name, spec) in zip(stored, self.images.stored.items(), strict=True)
                if name != "target"
            }
            places = [number * self.batch + index for index in range(len(stored[0]))]
            drawn = {name: each.to(self.place.device) for name, each in draw(self.images.drawn, places).items()}
            yield held.pop("source"), held | drawn

    def _sized(self, stored: Tensor, spec: ExtraSpec) -> Tensor:
        if not isinstance(spec, ImageSpec):
            return stored
        return torch.stack([resize_to(image, self.images.size, nearest=spec.kind == "labels") for image in stored])

    def protocol(self) -> dict[str, Json]:
        """Return what the statistics depend on, beside the network."""
        return {"recalibrated": f"{min(len(self.stored), MOST)} training pairs, {self.batch} at a time"}
