"""Sum up device scalars and time, and read them on the host once in a while."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from p2pkit.config.tracking import PriceConfig
from p2pkit.engine.device.energy import EnergyMeter, open_energy_meter
from p2pkit.engine.distributed.collectives import all_reduce_mean
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.scalars import Scalars

_JOULES_PER_KWH = 3.6e6


class Meter:
    """Means of the scalars since the last reading, and the speed.

    Args:
        energy: Counts what is used; None where that can't be measured.
        price: What energy and time cost.
    """

    def __init__(self, energy: EnergyMeter | None = None, price: PriceConfig | None = None) -> None:
        self.energy = energy
        self.price = price or PriceConfig()
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
        if self.energy is not None:
            self.energy.watch()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context of what says nothing of the speed of training: an evaluation, a checkpoint."""
        if self.energy is not None:
            self.energy.take()
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.begun += time.perf_counter() - begun
            if self.energy is not None:
                self.energy.leave_out()

    def read(self) -> dict[str, float]:
        """Return the means and the speed, those of all processes, by one transfer from the device; begin anew."""
        read = self._means()
        elapsed = time.perf_counter() - self.begun
        read["speed/images_per_second"] = self.images * world().count / elapsed
        if world().several:
            read["speed/images_per_second_per_process"] = self.images / elapsed
        read["speed/data_wait"] = self.waited / elapsed
        joules = math.nan if self.energy is None else self.energy.read()
        if self.images:
            read |= self._spent(joules, elapsed * world().count, self.images * world().count)
        self._clear()
        return read

    def _spent(self, joules: float, seconds: float, images: int) -> dict[str, float]:
        """Return what images take, where it is known: a price that is not given is nothing."""
        price = self.price
        cost = seconds / 3600 * (price.hour or 0) + (joules / _JOULES_PER_KWH * price.kwh if price.kwh else 0)
        cost = math.nan if price.hour is None and price.kwh is None else cost
        found = {"speed/joules_per_image": joules / images, "speed/cost": 1000 * cost / images}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _means(self) -> dict[str, float]:
        means = {name: total / count for name, (total, count) in self.state().items()}
        return means | {f"{name}_weighted": means[name] * by for name, by in self._weighted.items() if name in means}


def open_meter(device: torch.device, price: PriceConfig, note: Callable[[str], None]) -> Meter:
    """Return a run's meter.

    Args:
        device: Where this process computes.
        price: What energy and time cost.
        note: Hears why energy can't be measured, where there is a use for it.
    """
    return Meter(open_energy_meter(device, note if price.kwh is not None else lambda why: None), price)
