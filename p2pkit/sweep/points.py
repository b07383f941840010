"""The runs of a sweep, spelt out: named points, values of keys, and seeds."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from p2pkit.compare.settings import label
from p2pkit.config import SweepConfig
from p2pkit.config.ranges import FORM, Range, is_range, parse_range
from p2pkit.errors import ConfigError, Problem
from p2pkit.untyped import Json, Plain
from p2pkit.yaml_files import shortened
from p2pkit.yaml_reader import NotYaml, parse_yaml

_ITS_OWN = {"engine.seed": "use sweep.seeds (--seeds)", "tracking.name": "", "tracking.folder": ""}
_DRAWS_FOR_EACH = 100
_MOST = 100_000

State = Literal["waiting", "finished", "failed", "pruned"]
Axis = list[Json] | Range
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


def goal_of(names: Iterable[str], by: str | None) -> str | None:
    """Return which of a run's values a metric's name means: the one called so, or the first of several of its own."""
    return next((name for name in names if by and (name == by or name.startswith(f"{by}/"))), None)


def parse_axes(axes: Sequence[str]) -> dict[str, list[Json] | str]:
    """Read `losses.l1.weight=1,10,100` and `optimizers.generator.lr=1e-5..1e-3:log`, as the command line gives them.

    Raises:
        ConfigError: Axes are not of this form; holds all problems.
    """
    problems: list[Problem] = []
    parsed: dict[str, list[Json] | str] = {}
    for axis in axes:
        key, equals, written = axis.partition("=")
        try:
            values = written if is_range(written) else parse_yaml(f"[{written}]")
        except NotYaml:
            problems.append(Problem(key, f"the values are not YAML: {written}"))
            continue
        if not key.strip() or not equals or not values:
            remedy = f"e.g. losses.l1.weight=1,10,100; {FORM}"
            problems.append(Problem(axis, "not of the form key=value,value", remedy))
        parsed[key.strip()] = values
    if problems:
        raise ConfigError(problems)
    return parsed


def spell_out(wanted: SweepConfig) -> list[tuple[Child, ...]]:
    """Return the units of work of a sweep, in order: one run each, or none yet where Optuna is to choose.

    Raises:
        ConfigError: There is nothing to run, or two runs would be the same; holds all problems.
    """
    problems = list(_problems(wanted))
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


def axes_of(wanted: SweepConfig) -> dict[str, Axis]:
    """Return each key's values, with ranges read."""
    return {key: parse_range(axis) if isinstance(axis, str) else axis for key, axis in wanted.axes.items()}


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


def _problems(wanted: SweepConfig) -> Iterator[Problem]:
    places = {f"sweep.axes.{key}": key for key in wanted.axes}
    places |= {f"sweep.points.{name}.{key}": key for name, point in wanted.points.items() for key in point}
    for place, key in places.items():
        if key in _ITS_OWN:
            yield Problem(place, "is set by the sweep itself", _ITS_OWN[key])
    for key, axis in wanted.axes.items():
        yield from _axis_problems(f"sweep.axes.{key}", axis, wanted)
    if not wanted.wanted and wanted.search == "grid":
        yield Problem("sweep", "there is one run only", "give keys with values: losses.l1.weight=1,10,100")
    if wanted.search == "grid" and (count := _grid_size(wanted)) > _MOST:
        yield Problem(
            "sweep", f"a grid of {shortened(count)} runs", f"at most {_MOST:,}; draw some by sweep.search: random"
        )
    if wanted.search != "grid" and not wanted.trials:
        yield Problem("sweep.trials", f"a search by {wanted.search} wants to know how many points", "e.g. 20")
    if wanted.search == "grid" and wanted.trials:
        yield Problem("sweep.trials", "a grid runs every combination", "set sweep.search to random or optuna")
    if wanted.search != "grid" and not (wanted.axes or wanted.points):
        yield Problem("sweep.axes", "there is nothing to draw", f"give keys with values; {FORM}")


def _grid_size(wanted: SweepConfig) -> int:
    lengths = [len(axis) for axis in wanted.axes.values() if isinstance(axis, list)]
    return math.prod(lengths) * max(1, len(wanted.points)) * wanted.seeds


def _axis_problems(path: str, axis: list[Json] | str, wanted: SweepConfig) -> Iterator[Problem]:
    if isinstance(axis, list):
        if not axis:
            yield Problem(path, "has no values")
        return
    try:
        parse_range(axis)
    except ValueError as error:
        yield Problem(path, str(error), FORM)
    else:
        if wanted.search == "grid":
            remedy = "list its values, or let --random N or --search optuna draw from it"
            yield Problem(path, f"a grid can't run every value of the range {axis}", remedy)
