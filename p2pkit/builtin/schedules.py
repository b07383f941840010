"""Schedules of the learning rate: how it falls once half of the run, or `schedule.decay_after`, is over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import p2pkit

Factor = Callable[[int], float]


def linear(length: p2pkit.RunLength) -> Factor:
    """The whole learning rate at first, then in a straight line down to 0.

    Source: Zhu and Isola's reference implementation, which reaches 1 / (falling + 1) and not 0 in the last epoch.
    """
    return lambda step: 1 - _progress(length, step)


def cosine(length: p2pkit.RunLength) -> Factor:
    """The whole learning rate at first, then down to 0 along half a cosine.

    Source: Loshchilov and Hutter 2016, arXiv:1608.03983, without restarts.
    """
    return lambda step: 0.5 * (1 + math.cos(math.pi * _progress(length, step)))


def constant() -> Factor:
    """The whole learning rate from beginning to end.

    Source: none.
    """
    return lambda step: 1.0


def _progress(length: p2pkit.RunLength, step: int) -> float:
    """Return which share of the fall is over; it comes in steps of what the run counts in, epochs or updates."""
    start, whole = length.start // length.unit, length.steps // length.unit
    return max(0, step // length.unit + 1 - start) / (whole - start + 1)


@p2pkit.hookimpl
def p2pkit_schedules() -> Iterator[p2pkit.Schedule]:
    """Offer the built-in schedules."""
    yield p2pkit.Schedule("linear", linear)
    yield p2pkit.Schedule("cosine", cosine)
    yield p2pkit.Schedule("constant", constant)
