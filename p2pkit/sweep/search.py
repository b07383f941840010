"""What Optuna chooses points by, and by what it prunes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from p2pkit.compare.ranking import goal_of
from p2pkit.config import SweepConfig
from p2pkit.config.ranges import Range
from p2pkit.config.sweeps import Axis, axes_of
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.sweep.plan import Planned
from p2pkit.sweep.points import Child, choose
from p2pkit.sweep.storage import quiet
from p2pkit.types import Report
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


def sampler(wanted: SweepConfig, *, first: bool) -> BaseSampler:
    """Return what chooses the next point."""
    from optuna import samplers

    seed = wanted.draw if first else None
    match wanted.search:
        case "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=5)
        case "cmaes":
            return samplers.CmaEsSampler(seed=seed, n_startup_trials=5, warn_independent_sampling=False)
        case "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=max(2, (wanted.trials or 0) // 4))
    return samplers.TPESampler(seed=seed, n_startup_trials=5)


def pruner(planned: Planned) -> BasePruner:
    """Return what ends runs that are clearly worse than others."""
    from optuna import pruners

    match planned.wanted.prune:
        case "median":
            return pruners.MedianPruner()
        case "hyperband":
            least = planned.first.plan.config.evaluate.every
            return pruners.HyperbandPruner(min_resource=least, reduction_factor=4)
        case "wilcoxon":
            return pruners.WilcoxonPruner()
    return pruners.NopPruner()


def chosen(trial: Trial, wanted: SweepConfig, unit: int) -> list[Child]:
    """Let Optuna choose a point; return a run for each seed."""
    name = str(trial.suggest_categorical("point", list(wanted.points))) if wanted.points else ""
    values = {key: _suggested(trial, key, axis) for key, axis in axes_of(wanted).items()}
    label, settings = choose(wanted, name, values)
    return [Child(f"{unit:03} {label}", settings, seed) for seed in range(wanted.seeds)]


def enqueued(wanted: SweepConfig, child: Child) -> dict[str, Json]:
    """Return the values of a point that is not of Optuna's choice, as Optuna has them."""
    axes = axes_of(wanted)
    values = {key: child.settings[key] for key in axes}
    names = [name for name in wanted.points if choose(wanted, name, values)[0] == child.label]
    stored = {key: value if isinstance(axes[key], Range) else json.dumps(value) for key, value in values.items()}
    return {**stored, "point": names[0]} if names else stored


class Verdict:
    """Tells Optuna of a run's evaluations, and ends the run where they are clearly worse than others'.

    Args:
        trial: The trial that the run is of.
        goal: What it goes by.
    """

    def __init__(self, trial: Trial, goal: str) -> None:
        self._trial = trial
        self._goal = goal
        self._reason = ""

    def __call__(self, progress: Progress, report: Report) -> str | None:
        """Hear of an evaluation; return why to train no further."""
        name = goal_of(report.metrics, self._goal)
        if name is None or progress.step == 0:  # an untrained generator is no result
            return None
        with quiet():  # a resumed run may evaluate an epoch once more
            self._trial.report(report.metrics[name], progress.epoch)
            if self._trial.should_prune():
                self._reason = f"pruned, as {name} is {report.metrics[name]:.4g} after epoch {progress.epoch}"
        return self._reason or None

    def ended(self, reason: str) -> bool:
        """Tell whether this is why a run ended."""
        return bool(self._reason) and reason.endswith(self._reason)


def _suggested(trial: Trial, key: str, axis: Axis) -> Json:
    if not isinstance(axis, Range):
        return json.loads(str(trial.suggest_categorical(key, [json.dumps(value) for value in axis])))
    if axis.whole:
        return trial.suggest_int(key, int(axis.low), int(axis.high), log=axis.log)
    return axis.tidy(trial.suggest_float(key, axis.low, axis.high, log=axis.log))
