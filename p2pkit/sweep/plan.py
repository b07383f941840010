"""A sweep before it begins: which points, and whether each of them can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from p2pkit import api
from p2pkit.config import Source, SweepConfig, load_config, resolve
from p2pkit.config.executor import EXECUTOR
from p2pkit.config.sweeps import goal_problems, goals_of, parse_axes, shared_keys
from p2pkit.engine.check import check
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.storage.costs import COSTS_MORE_IS_BETTER
from p2pkit.errors import ConfigError, Problem
from p2pkit.parts import ExecutorPart
from p2pkit.planning import plan_run
from p2pkit.registry import Registry, load_registry
from p2pkit.sweep.points import Child, corners, spell_out
from p2pkit.untyped import Json, Plain
from p2pkit.weights.files import no_downloads

Config = str | Path | Plain
Axes = Sequence[str] | Mapping[str, Sequence[Json]]


@dataclass(frozen=True)
class Planned:
    """A sweep that is known to be possible.

    Args:
        source: The config as written.
        wanted: What differs between the runs.
        units: The units of work: one run each, or none yet where Optuna is to choose.
        checked: What the check found, for each point, or for Optuna each value.
        executor: Where the runs are trained; None for this process.
    """

    source: Source
    wanted: SweepConfig
    units: tuple[tuple[Child, ...], ...]
    checked: Mapping[str, ValidatedRun]
    executor: ExecutorPart | None = None

    @property
    def first(self) -> ValidatedRun:
        """The first point's run."""
        return next(iter(self.checked.values()))

    @cached_property
    def goals(self) -> dict[str, bool | None]:
        """What says which point is best, and whether more of it is better; empty where nothing is measured."""
        return goals_of(self.wanted, self.first.plan, self.first.spec, COSTS_MORE_IS_BETTER)


def plan(config: Config, axes: Axes = (), *, registry: Registry | None = None, **overrides: Json) -> Planned:
    """Look for everything that can be wrong with any point of a sweep, without training.

    Args:
        config: What all runs share; its key `sweep` may say what differs.
        axes: More keys that differ, with their values.
        registry: The names in force.
        **overrides: Keys to change, of the sweep or of all runs.

    Raises:
        ConfigError: Points can't be run; holds all problems.
    """
    registry = registry or load_registry()
    given = dict(axes) if isinstance(axes, Mapping) else parse_axes(axes)
    source = load_config(config, {**overrides, "sweep.axes": given})
    wanted, executor = _wanted(source, registry)
    units = spell_out(wanted)
    points = {child.label: child.settings for unit in units for child in unit} or dict(corners(wanted))
    planned = Planned(source, wanted, tuple(units), _checked(shared_keys(source.raw), points, registry), executor)
    problems = list(goal_problems(wanted, planned.first.plan, planned.first.spec, COSTS_MORE_IS_BETTER))
    if problems:
        raise ConfigError(problems)
    return planned


def outline(
    config: Config,
    *,
    registry: Registry | None = None,
    every_file: bool = False,
    progress: bool = False,
    **overrides: Json,
) -> list[str]:
    """Check a config, and say in a few lines what its run would do, or each of its runs where it is a sweep.

    Args:
        config: What to check.
        registry: The names in force.
        every_file: Whether all files of a run's data are read, and not only a sample.
        progress: Whether to show how that comes along.
        **overrides: Keys to change.

    Raises:
        ConfigError: It can't be run; holds all problems.
    """
    if not load_config(config, overrides).raw.get("sweep"):
        return api.outline(api.check(config, registry=registry, every_file=every_file, progress=progress, **overrides))
    with no_downloads():
        planned = plan(config, registry=registry, **overrides)
    lines = []
    for label, checked in planned.checked.items():
        lines += [f"{label}:", *(f"  {line}" for line in api.outline(checked)[:-1])]
    found = f"{len(planned.checked)} points"
    if planned.wanted.searches:
        found = f"{len(planned.units)} points between these, as Optuna chooses"
    seeds = f", {planned.wanted.seeds} seeds each" if planned.wanted.seeds > 1 else ""
    return [*lines, f"{found}{seeds}; the configs are in order"]


def _wanted(source: Source, registry: Registry) -> tuple[SweepConfig, ExecutorPart | None]:
    found = resolve(source, registry)
    wrong = [problem for problem in found.problems if problem.path.partition(".")[0] in ("sweep", EXECUTOR)]
    if wrong:
        raise ConfigError(wrong)
    return found.config.sweep, found.executor


def _checked(shared: Plain, points: Mapping[str, Plain], registry: Registry) -> dict[str, ValidatedRun]:
    """Check each point; of a problem that several points have, the first is named."""
    checked, problems = {}, dict[str, Problem]()
    for label, settings in points.items():
        try:
            checked[label] = check(plan_run(shared, settings, registry))
        except ConfigError as error:
            for problem in error.problems:
                where = f"{label}: {problem.path}" if label else problem.path
                problems.setdefault(str(problem), replace(problem, path=where))
    if problems:
        raise ConfigError(problems.values())
    return checked
