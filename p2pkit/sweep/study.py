"""A sweep's work as a study of Optuna: what is to be trained is enqueued, and whoever asks for a trial has it alone.

A trial is one run, or in a search a point with a run for each seed. One that its process gives up, or leaves by its
death, is enqueued anew, as are failed ones that are to be tried again: of a unit of work the last trial counts.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from p2pkit.config.executor import EXECUTOR
from p2pkit.errors import ConfigError, ModelError, Problem
from p2pkit.sweep.holder import is_alive, is_held_by
from p2pkit.sweep.plan import Planned
from p2pkit.sweep.points import Child, State
from p2pkit.sweep.search import enqueued, pruner, sampler
from p2pkit.sweep.storage import quiet
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

UNIT, RUNS, CONFIG = "unit", "runs", "config"


def create_study(storage: BaseStorage, name: str, planned: Planned) -> Study:
    """Make a study, and enqueue all of its work.

    Raises:
        ConfigError: The storage has one of this name.
    """
    import optuna
    from optuna.study import StudyDirection as To

    directions = [To.MAXIMIZE if higher else To.MINIMIZE for higher in planned.goals.values()] or [To.MINIMIZE]
    try:
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    except optuna.exceptions.DuplicatedStudyError:
        remedy = "give another --name, or help with that one: --join"
        raise ConfigError(Problem("sweep.storage", f"there is a sweep {name!r} already", remedy)) from None
    for number, children in enumerate(planned.units):
        point = enqueued(planned.wanted, children[0]) if children else {}
        study.enqueue_trial(point, user_attrs={UNIT: number, RUNS: _plain(children)})
    raw = planned.source.raw
    config = {**raw, "sweep": {**raw["sweep"], "storage": None}, EXECUTOR: None}  # where it runs, who goes on says anew
    study.set_user_attr(CONFIG, json.loads(json.dumps(config, default=str)))  # last, since who joins looks for it
    return study


def load_study(storage: BaseStorage, name: str) -> Study:
    """Open a sweep's study.

    Raises:
        ModelError: There is none of this name.
    """
    import optuna

    with suppress(KeyError):
        study = optuna.load_study(storage=storage, study_name=name)
        if CONFIG in study.user_attrs:
            return study
    known = [known for known in optuna.get_all_study_names(storage) if known != name]
    remedy = f"there are: {', '.join(known)}" if known else "there are no sweeps in it"
    raise ModelError(Problem("sweep.storage", f"holds no sweep {name!r}", remedy))


class Work:
    """The work of a sweep, which several processes share.

    Args:
        study: The study.
        planned: What is to be run.
        first: Whether the sweep begins in this process; who joins later draws by a seed of its own.
    """

    def __init__(self, study: Study, planned: Planned, *, first: bool) -> None:
        self.study = study
        with quiet():
            study.sampler, study.pruner = sampler(planned.wanted, first=first), pruner(planned)

    @property
    def units(self) -> list[list[Child]]:
        """The runs of each unit of work as they stand now; none where a search has not chosen them yet."""
        return [runs_of(trial) for trial in self._current()]

    @property
    def busy(self) -> bool:
        """Whether any living process works on the sweep."""
        return any(trial.state.name == "RUNNING" and is_alive(trial) for trial in self._current())

    def take(self) -> Trial | None:
        """Take a trial for this process; None where nothing is left that nobody has."""
        from optuna.trial import TrialState

        for trial in self._current():
            if trial.state == TrialState.RUNNING and not is_alive(trial):
                self.give_back(trial.number)
            elif trial.state.is_finished() and any(child.state == "waiting" for child in runs_of(trial)):
                self._enqueue(trial)  # whoever gave it back died before it had done so
        while self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            taken = self.study.ask()
            if taken.number in (trial.number for trial in self._current()):
                return taken
            self.study.tell(taken, state=TrialState.FAIL)  # another has just taken the last one, or enqueued it as well
        return None

    def save(self, trial: Trial, children: Iterable[Child]) -> None:
        """Record how a trial's runs stand; one that was taken for dead is another process's now, and stays as it is."""
        from optuna.exceptions import UpdateFinishedTrialError

        with suppress(UpdateFinishedTrialError):
            trial.set_user_attr(RUNS, _plain(children))

    def finish(self, trial: Trial, children: Sequence[Child], values: Sequence[float]) -> None:
        """Tell Optuna what came of a trial.

        Args:
            trial: The trial.
            children: Its runs.
            values: What it is judged by; empty where a run has failed, or has no such score.
        """
        from optuna.trial import TrialState

        pruned = any(child.state == "pruned" for child in children)
        state = TrialState.PRUNED if pruned else TrialState.COMPLETE if values else TrialState.FAIL
        self.study.tell(trial, None if pruned else values or None, state=state, skip_if_finished=True)

    def give_back(self, number: int) -> None:
        """Let a trial that was taken be taken anew, by whoever asks."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with suppress(UpdateFinishedTrialError, ValueError):  # another process was first
            self.study.tell(number, state=TrialState.FAIL)
            self._enqueue(self.study.trials[number])

    def give_back_of(self, worker: str) -> None:
        """Let what a worker had taken be taken anew, since the worker is known to be lost."""
        for trial in self._current():
            if trial.state.name == "RUNNING" and is_held_by(trial, worker):
                self.give_back(trial.number)

    def try_again(self) -> None:
        """Enqueue anew what has failed."""
        for trial in self._current():
            if any(child.state == "failed" for child in runs_of(trial)):
                self._enqueue(trial, failed="waiting")

    def _enqueue(self, trial: FrozenTrial, failed: State = "failed") -> None:
        from optuna.storages import RetryHeartbeatStaleTrialCallback

        again = copy.deepcopy(trial)
        runs = [replace(child, state=failed) if child.state == "failed" else child for child in runs_of(trial)]
        again.user_attrs = {UNIT: trial.user_attrs[UNIT], RUNS: _plain(runs)}
        with quiet():
            RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(self.study, again)

    def _current(self) -> list[FrozenTrial]:
        """Return for each unit its last trial; of two that repeat the same one, the first counts."""
        current: dict[int, FrozenTrial] = {}
        repeated = set()
        for trial in self.study.get_trials(deepcopy=False):
            origin = trial.system_attrs.get("retry_history", [None])[-1]
            if UNIT in trial.user_attrs and origin not in repeated:
                repeated |= {origin} - {None}
                current[trial.user_attrs[UNIT]] = trial
        return [current[unit] for unit in sorted(current)]


def runs_of(trial: Trial | FrozenTrial) -> list[Child]:
    """Return a trial's runs; none where a search has not chosen its point yet."""
    return [Child(**child) for child in trial.user_attrs[RUNS]]


def _plain(children: Iterable[Child]) -> Json:
    return json.loads(json.dumps(list(map(asdict, children)), default=str))
