"""The runs of a sweep, spelt out: named points, values of keys, and seeds; and what they are called."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from p2pkit.compare.settings import label, title
from p2pkit.config import SweepConfig
from p2pkit.config.ranges import Range
from p2pkit.config.sweeps import axes_of, sweep_problems
from p2pkit.errors import ConfigError, Problem
from p2pkit.mlflow_store import SWEEP_TAG
from p2pkit.untyped import Json, Plain

_DRAWS_FOR_EACH = 100
POINT, TITLE, PLACE = "p2pkit.point", "p2pkit.title", "p2pkit.place"

State = Literal["waiting", "finished", "failed", "pruned"]
Choice = tuple[str, dict[str, Json]]
"""A point: its label, and the keys it changes."""


@dataclass(frozen=True)
class Child:
    """One run of a sweep.

    Args:
        label: What differs from the other runs; also the name of its folder.
        settings: The keys it changes.
        seed: Its seed.
        state: What has become of it.
        home: The sweep's folder in which it is trained, once it has begun.
        folder: Its own folder in there, once it was trained.
        metrics: Its scores, once it is finished, or when it was pruned.
        costs: What it costs beside: its size and speed.
        error: Why it failed, or was pruned.
    """

    label: str
    settings: Plain
    seed: int
    state: State = "waiting"
    home: str = ""
    folder: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def name(self) -> str:
        """What its folder is called, unless the name is taken."""
        return re.sub(r"[^\w.=+-]+", "_", f"{self.label} seed={self.seed}".strip())


def spell_out(wanted: SweepConfig) -> list[tuple[Child, ...]]:
    """Return the units of work of a sweep, in order: one run each, or none yet where Optuna is to choose.

    Raises:
        ConfigError: There is nothing to run, or two runs would be the same; holds all problems.
    """
    problems = list(sweep_problems(wanted))
    if problems:
        raise ConfigError(problems)
    if wanted.searches:
        return [()] * (wanted.trials or 0)
    points = _drawn(wanted) if wanted.search == "random" else _grid(wanted)
    children = [Child(*point, seed) for point in points for seed in range(wanted.seeds)]
    twice = [name for name, count in Counter(child.name for child in children).items() if count > 1]
    if twice:
        remedy = "leave one out, or name them differently"
        raise ConfigError(Problem(name, "is there twice", remedy) for name in twice)
    return [(child,) for child in children]


def choose(wanted: SweepConfig, name: str, values: Plain) -> Choice:
    """Return the point of a name ('' where points have none) and of a value for each key."""
    return " ".join(filter(None, (name, label(values)))), {**wanted.points.get(name, {}), **values}


def corners(wanted: SweepConfig) -> list[Choice]:
    """Return points in which every value, and both ends of every range, are at least once."""
    ends = {key: [axis.low, axis.high] if isinstance(axis, Range) else axis for key, axis in axes_of(wanted).items()}
    names = list(wanted.points) or [""]
    first = {key: values[0] for key, values in ends.items()}
    found = [choose(wanted, name, first) for name in names]
    return found + [choose(wanted, names[0], {**first, key: v}) for key, values in ends.items() for v in values[1:]]


def _grid(wanted: SweepConfig) -> Iterator[Choice]:
    for name in wanted.points or [""]:
        for chosen in itertools.product(*wanted.axes.values()):
            yield choose(wanted, name, dict(zip(wanted.axes, chosen, strict=True)))


def _drawn(wanted: SweepConfig) -> list[Choice]:
    """Draw different points.

    Raises:
        ConfigError: There are not as many.
    """
    random, axes, names = Random(wanted.draw), axes_of(wanted), list(wanted.points) or [""]
    trials, found = wanted.trials or 0, dict[str, Choice]()
    for _ in range(_DRAWS_FOR_EACH * trials):
        values = {
            key: axis.draw(random) if isinstance(axis, Range) else random.choice(axis) for key, axis in axes.items()
        }
        point = choose(wanted, random.choice(names), values)
        found.setdefault(point[0], point)
        if len(found) == trials:
            return list(found.values())
    cause = f"{trials} points are wanted, and there seem to be only {len(found)} different ones"
    raise ConfigError(Problem("sweep.trials", cause, "ask for fewer, or run the whole grid"))


@dataclass(frozen=True)
class Naming:
    """How trackers hear of a sweep's runs.

    Args:
        sweep: The sweep's name.
        wanted: What differs between the runs.
    """

    sweep: str
    wanted: SweepConfig

    def title(self, child: Child) -> str:
        """Return what differs as `gan 0 l1 100`; with the seed where a point has several."""
        values = {key: value for key, value in child.settings.items() if key in self.wanted.axes}
        name = child.label.removesuffix(label(values)).strip()
        seed = f"seed {child.seed}" if self.wanted.seeds > 1 or not child.label else ""
        return " ".join(filter(None, (name, title(values), seed)))

    def tags(self, child: Child, children: Iterable[Child]) -> dict[str, str]:
        """Return a run's tags: the sweep, its point, how that is written in legends, and which one in order it is."""
        points = list(dict.fromkeys(each.label for each in children))
        place = points.index(child.label) if child.label in points else len(points)
        return {SWEEP_TAG: self.sweep, POINT: child.label, TITLE: self.title(child), PLACE: str(place)}
