"""Sum up device scalars and time, and read them on the host once in a while."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from p2pkit.engine.distributed.collectives import all_reduce_mean
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.scalars import Scalars


class Meter:
    """Means of the scalars since the last reading, and the speed."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}  # steps in which other terms are due have other names
        self._counts: dict[tuple[str, ...], int] = {}
        self._weighted: dict[str, float] = {}
        self.images = 0
        self.waited = 0.0
        self.begun = time.perf_counter()

    @property
    def empty(self) -> bool:
        """Whether nothing was added since the last reading."""
        return not self._sums

    def add(self, scalars: Scalars, images: int, waited: float) -> None:
        """Take in one step, by one launch; nothing is read from the device."""
        names = scalars.names
        self._sums[names] = self._sums[names] + scalars.stacked if names in self._sums else scalars.stacked
        self._counts[names] = self._counts.get(names, 0) + 1
        self._weighted.update(scalars.weighted)
        self.images += images
        self.waited += waited

    def pause(self, seconds: float) -> None:
        """Leave time out of the speed: what an evaluation or a checkpoint took."""
        self.begun += seconds

    def read(self) -> dict[str, float]:
        """Return the means and the speed, those of all processes, by one transfer from the device; begin anew."""
        read = self._means() if self._sums else {}
        elapsed = time.perf_counter() - self.begun
        read["speed/images_per_second"] = self.images * world().count / elapsed
        read["speed/data_wait"] = self.waited / elapsed
        self._clear()
        return read

    def _means(self) -> dict[str, float]:
        values = iter(all_reduce_mean(torch.cat(list(self._sums.values()))).tolist())
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, count in self._counts.items():
            for name in names:
                sums[name] = sums.get(name, 0.0) + next(values)
                counts[name] = counts.get(name, 0) + count
        means = {name: value / counts[name] for name, value in sums.items()}
        return means | {f"{name}_weighted": means[name] * by for name, by in self._weighted.items() if name in means}
