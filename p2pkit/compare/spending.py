"""What points cost, and how well more processes are put to use."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from p2pkit.compare.settings import PROCESSES
from p2pkit.engine.storage.costs import EFFICIENCY, PER_PROCESS
from p2pkit.untyped import Plain

Costs = Mapping[str, float]
_SPREAD = ("engine.batch", "engine.accumulate")
"""Settings by which one batch is spread over more processes."""


def mean_costs(runs: Sequence[Costs]) -> dict[str, float]:
    """Return the mean of what runs cost, of each cost over those that say it."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: statistics.fmean(run[name] for run in runs if name in run) for name in names}


def with_efficiency(points: Sequence[tuple[Plain, Costs]]) -> list[Costs]:
    """Add to each point what share of the speed of its fewest processes each of its processes has.

    Args:
        points: The settings and costs of each; it is measured by the one on the fewest processes whose other settings
            are the same, or else spread the batch another way.

    Returns:
        The costs of each.
    """
    found = []
    for settings, costs in points:
        alike = [(own, spent) for own, spent in points if _rest(own) == _rest(settings) and PER_PROCESS in spent]
        if PER_PROCESS in costs and len({own[PROCESSES] for own, _ in alike}) > 1:
            _, least = min(alike, key=lambda each: (each[0][PROCESSES], _batch(each[0]) != _batch(settings)))
            costs = {**costs, EFFICIENCY: costs[PER_PROCESS] / least[PER_PROCESS]}
        found.append(costs)
    return found


def _rest(settings: Plain) -> Plain:
    return {key: value for key, value in settings.items() if key not in (PROCESSES, *_SPREAD)}


def _batch(settings: Plain) -> list[object]:
    return [settings.get(key) for key in _SPREAD]
