"""What a sweep's section means: its axes read, and what is wrong with it beside its structure."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence

from p2pkit.config.executor import EXECUTOR
from p2pkit.config.model import SweepConfig
from p2pkit.config.ranges import FORM, Range, is_range, parse_range
from p2pkit.config.resolve import Plan
from p2pkit.errors import ConfigError, Problem
from p2pkit.parts import Part
from p2pkit.types import PairSpec, optional
from p2pkit.untyped import Json, Plain
from p2pkit.yaml_files import did_you_mean, shortened
from p2pkit.yaml_reader import NotYaml, parse_yaml

Axis = list[Json] | Range
_ITS_OWN = {"engine.seed": "use sweep.seeds (--seeds)", "tracking.name": "", "tracking.folder": ""}
_MOST = 100_000


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


def axes_of(wanted: SweepConfig) -> dict[str, Axis]:
    """Return each key's values, with ranges read."""
    return {key: parse_range(axis) if isinstance(axis, str) else axis for key, axis in wanted.axes.items()}


def sweep_problems(wanted: SweepConfig) -> Iterator[Problem]:
    """Yield what keeps a sweep from being spelt out: keys that are its own, nothing to run, or too much."""
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


def goals_of(wanted: SweepConfig, plan: Plan, images: PairSpec, costs: Mapping[str, bool]) -> dict[str, bool | None]:
    """Return what says which point is best, and whether more of it is better; empty where nothing is measured.

    Args:
        wanted: The section.
        plan: The first point's run.
        images: What its images are.
        costs: What a run costs, by which points may be ranked too.
    """

    def better(goal: str) -> bool | None:
        return costs[goal] if goal in costs else optional.higher_is_better(_metric(plan, goal).build(images))

    return {goal: better(goal) for goal in wanted.goals or list(plan.metrics)[:1]}


def _metric(plan: Plan, goal: str) -> Part:
    """Return the metric of a value, of which it may have several, named METRIC/VALUE."""
    return plan.metrics[goal.partition("/")[0]]


def goal_problems(wanted: SweepConfig, plan: Plan, images: PairSpec, costs: Mapping[str, bool]) -> Iterator[Problem]:
    """Check the metrics by which points are ranked, and what goes by them; arguments as for `goals_of`."""
    metrics = plan.metrics
    unknown = [goal for goal in wanted.goals if {goal, goal.partition("/")[0]}.isdisjoint([*metrics, *costs])]
    for goal in unknown:
        remedy = f"{did_you_mean(goal, metrics)}metrics: {', '.join(metrics)}"
        yield Problem("sweep.by", f"evaluate.metrics has no {goal!r}", remedy)
    if len(wanted.goals) > 2:
        yield Problem("sweep.by", f"holds {len(wanted.goals)} metrics", "name one, or two to weigh against each other")
    if unknown:
        return
    known = goals_of(wanted, plan, images, costs)
    two, prunes = len(known) > 1, wanted.prune != "none"
    if (wanted.searches or prunes or two) and None in (known or {"": None}).values():
        yield Problem("sweep.by", "does not say which direction is good", f"choose one of {', '.join(metrics)}")
    if wanted.search == "cmaes" and importlib.util.find_spec("cmaes") is None:
        yield Problem("sweep.search", "cmaes is not installed", "pip install 'p2pkit[cmaes]'")
    if two and wanted.search == "cmaes":
        yield Problem("sweep.search", "cmaes goes by one metric", "nsga2, gp and tpe take two")
    if prunes and (two or not set(known).isdisjoint(costs)):
        yield Problem("sweep.prune", "goes by one metric of the evaluations", "name one in sweep.by, or set it to none")
    if prunes and not plan.config.evaluate.every:
        yield Problem("sweep.prune", "goes by evaluations on the way, and there are none", "set evaluate.every")


def shared_keys(config: Plain) -> dict[str, Json]:
    """Return a sweep's config without what makes it a sweep."""
    return {key: value for key, value in config.items() if key not in ("sweep", EXECUTOR)}
