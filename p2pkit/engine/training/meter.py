"""Sum up device scalars and time, and read them on the host once in a while."""

from __future__ import annotations

import time
from collections.abc import Mapping

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
        self._before: dict[str, tuple[float, int]] = {}
        self.images = 0
        self.waited = 0.0
        self.begun = time.perf_counter()

    @property
    def empty(self) -> bool:
        """Whether nothing was added since the last reading."""
        return not self._sums and not self._before

    def state(self) -> dict[str, tuple[float, int]]:
        """Return the sums and counts since the last reading, those of all processes, for a checkpoint."""
        values = iter(all_reduce_mean(torch.cat(list(self._sums.values()))).tolist() if self._sums else [])
        found = dict(self._before)
        for names, count in self._counts.items():
            for name in names:
                total, counted = found.get(name, (0.0, 0))
                found[name] = (total + next(values), counted + count)
        return found

    def restore(self, state: Mapping[str, tuple[float, int]], weighted: Mapping[str, float]) -> None:
        """Begin anew, with the sums of an earlier part of the run."""
        self._clear()
        self._before = {name: (total, count) for name, (total, count) in state.items()}
        self._weighted = dict(weighted)

    def add(self, scalars: Scalars, images: int, waited: float) -> None:
        """Take in one step, by one launch; nothing is read from the device."""
        names = scalars.names
        if names in self._sums:
            self._sums[names] += scalars.stacked
        else:
            self._sums[names] = scalars.stacked.clone()  # the next step may write its own to the same place
        self._counts[names] = self._counts.get(names, 0) + 1
        self._weighted.update(scalars.weighted)
        self.images += images
        self.waited += waited

    def pause(self, seconds: float) -> None:
        """Leave time out of the speed: what an evaluation or a checkpoint took."""
        self.begun += seconds

    def read(self) -> dict[str, float]:
        """Return the means and the speed, those of all processes, by one transfer from the device; begin anew."""
        read = self._means()
        elapsed = time.perf_counter() - self.begun
        read["speed/images_per_second"] = self.images * world().count / elapsed
        read["speed/data_wait"] = self.waited / elapsed
        self._clear()
        return read

    def _means(self) -> dict[str, float]:
        means = {name: total / count for name, (total, count) in self.state().items()}
        return means | {f"{name}_weighted": means[name] * by for name, by in self._weighted.items() if name in means}
