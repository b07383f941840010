"""Sum up device scalars and time, and read them on the host once in a while."""

from __future__ import annotations

import time

import torch

from p2pkit.engine.distributed.collectives import all_reduce_mean
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.objective import Scalars


class Meter:
    """Means of the scalars since the last reading, and the speed."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.sums: Scalars = {}
        self.counts: dict[str, int] = {}
        self.images = 0
        self.waited = 0.0
        self.begun = time.perf_counter()

    def add(self, scalars: Scalars, images: int, waited: float) -> None:
        """Take in one step; nothing is read from the device."""
        for name, value in scalars.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.images += images
        self.waited += waited

    def pause(self, seconds: float) -> None:
        """Leave time out of the speed: what an evaluation or a checkpoint took."""
        self.begun += seconds

    def read(self) -> dict[str, float]:
        """Return the means and the speed, those of all processes, by one transfer from the device; begin anew."""
        names = list(self.sums)
        values = all_reduce_mean(torch.stack([self.sums[name].float() for name in names])).tolist() if names else []
        read = {name: value / self.counts[name] for name, value in zip(names, values, strict=True)}
        elapsed = time.perf_counter() - self.begun
        read["speed/images_per_second"] = self.images * world().count / elapsed
        read["speed/data_wait"] = self.waited / elapsed
        self._clear()
        return read
