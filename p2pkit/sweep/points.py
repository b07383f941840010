"""The runs of a sweep, spelt out: every named point with every combination of values, for each seed."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from p2pkit.config import SweepConfig
from p2pkit.errors import ConfigError, Problem

_ITS_OWN = {"engine.seed": "use sweep.seeds (--seeds)", "tracking.name": "", "tracking.folder": ""}


@dataclass(frozen=True)
class Child:
    """One run of a sweep.

    Args:
        label: What differs from the other runs; also the name of its folder.
        settings: The keys it changes.
        seed: Its seed.
        state: What has become of it.
        metrics: Its scores, once it is finished.
        error: Why it failed.
    """

    label: str
    settings: Mapping[str, Any]
    seed: int
    state: Literal["waiting", "finished", "failed"] = "waiting"
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def name(self) -> str:
        """Its folder's name."""
        return re.sub(r"[^\w.=+-]+", "_", f"{self.label} seed={self.seed}".strip())


def parse_axes(axes: Sequence[str]) -> dict[str, list[Any]]:
    """Read `losses.l1.weight=1,10,100` and the like, as the command line gives them; values are YAML.

    Raises:
        ConfigError: Axes are not of this form; holds all problems.
    """
    problems: list[Problem] = []
    parsed = {}
    for axis in axes:
        key, equals, written = axis.partition("=")
        try:
            values = yaml.safe_load(f"[{written}]") if equals else []
        except yaml.YAMLError:
            problems.append(Problem(key, f"the values are not YAML: {written}"))
            continue
        if not key.strip() or not values:
            problems.append(Problem(axis, "not of the form key=value,value", "e.g. losses.l1.weight=1,10,100"))
        parsed[key.strip()] = values
    if problems:
        raise ConfigError(problems)
    return parsed


def spell_out(wanted: SweepConfig) -> list[Child]:
    """Return every run that a sweep is made of, in order.

    Raises:
        ConfigError: There is nothing to run, or two runs would be the same; holds all problems.
    """
    children = [Child(label, settings, seed) for label, settings in _grid(wanted) for seed in range(wanted.seeds)]
    places = {f"sweep.axes.{key}": key for key in wanted.axes}
    places |= {f"sweep.points.{name}.{key}": key for name, point in wanted.points.items() for key in point}
    taken = {place: _ITS_OWN[key] for place, key in places.items() if key in _ITS_OWN}
    problems = [Problem(place, "is set by the sweep itself", remedy) for place, remedy in taken.items()]
    problems += [Problem(f"sweep.axes.{key}", "has no values") for key, values in wanted.axes.items() if not values]
    twice = [name for name, count in Counter(child.name for child in children).items() if count > 1]
    problems += [Problem(name, "is there twice", "leave one out, or name them differently") for name in twice]
    if not wanted.wanted:
        problems.append(Problem("sweep", "there is one run only", "give keys with values: losses.l1.weight=1,10,100"))
    if problems:
        raise ConfigError(problems)
    return children


def _grid(wanted: SweepConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, point in (wanted.points or {"": {}}).items():
        for chosen in itertools.product(*wanted.axes.values()):
            settings = dict(zip(wanted.axes, chosen, strict=True))
            differing = (f"{_short(key)}={_written(value)}" for key, value in settings.items())
            yield " ".join(filter(None, (name, *differing))), {**point, **settings}


def _short(key: str) -> str:
    """Shorten a key to what tells it apart: `losses.l1.weight` to `l1.weight`, `generator.params.depth` to `depth`."""
    return re.sub(r"^(losses|.*\.params)\.", "", key)


def _written(value: Any) -> str:
    """Write a value short: a component as its name with what is changed in it."""
    if isinstance(value, dict) and "use" in value:
        inside = ",".join(f"{key}={item}" for key, item in value.get("params", {}).items())
        return f"{value['use']}({inside})" if inside else str(value["use"])
    return str(value)
