"""Search by Optuna, which learns from finished points where to look next; its journal lies in the sweep's folder."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from p2pkit.config import SweepConfig
from p2pkit.errors import ConfigError, Problem
from p2pkit.sweep.points import Axis, Child, axes_of, choose, goal_of
from p2pkit.sweep.ranges import Range
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from optuna import Study, Trial

JOURNAL = "optuna.journal"


def check_installed() -> None:
    """Make sure that Optuna is there.

    Raises:
        ConfigError: It is not.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError(Problem("sweep.search", "Optuna is not installed", "pip install 'p2pkit[sweep]'"))


class Search:
    """A study of Optuna.

    Args:
        folder: The sweep's folder, which several processes may share.
        wanted: What to search.
        by: The metric.
        higher_is_better: Its direction.
        first: Whether the study begins here; who joins later draws by a seed of its own.
    """

    def __init__(self, folder: Path, wanted: SweepConfig, by: str, *, higher_is_better: bool, first: bool) -> None:
        self.wanted = wanted
        self.by = by
        self._axes = axes_of(wanted)
        self._study = _open(folder, wanted.draw if first else None, maximise=higher_is_better)

    def ask(self) -> list[Child]:
        """Choose a point; return a run for each seed."""
        trial = self._study.ask()
        name = str(trial.suggest_categorical("point", list(self.wanted.points))) if self.wanted.points else ""
        values = {key: _suggested(trial, key, axis) for key, axis in self._axes.items()}
        label, settings = choose(self.wanted, name, values)
        return [
            Child(f"{trial.number:03} {label}", settings, seed, trial=trial.number) for seed in range(self.wanted.seeds)
        ]

    def tell(self, children: Sequence[Child]) -> None:
        """Report how a point did: the mean over its runs, or that it failed; what is known already stays."""
        from optuna.trial import TrialState

        values = [child.metrics.get(goal_of(child.metrics, self.by) or "", math.nan) for child in children]
        for number in {child.trial for child in children if child.trial is not None}:
            if all(map(math.isfinite, values)):
                self._study.tell(number, statistics.fmean(values), skip_if_finished=True)
            else:
                self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def _open(folder: Path, seed: int | None, *, maximise: bool) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    logging.getLogger("optuna").setLevel(logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=5),
        study_name=folder.name,
        direction="maximize" if maximise else "minimize",
        load_if_exists=True,
    )


def _suggested(trial: Trial, key: str, axis: Axis) -> Json:
    if not isinstance(axis, Range):
        return json.loads(str(trial.suggest_categorical(key, [json.dumps(value) for value in axis])))
    if axis.whole:
        return trial.suggest_int(key, int(axis.low), int(axis.high), log=axis.log)
    return axis.tidy(trial.suggest_float(key, axis.low, axis.high, log=axis.log))
