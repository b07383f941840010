"""One process's part of a sweep: it takes what nobody has, trains it, and asks again until nothing is left."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from p2pkit import api
from p2pkit.compare.ranking import goal_of
from p2pkit.config.sweeps import shared_keys
from p2pkit.engine.storage.costs import load_costs
from p2pkit.engine.storage.find import latest_begun
from p2pkit.errors import P2pkitError, Stopped
from p2pkit.progress import timespan
from p2pkit.registry import Registry
from p2pkit.sweep.holder import held
from p2pkit.sweep.plan import Planned
from p2pkit.sweep.points import Child, Naming
from p2pkit.sweep.search import Verdict, chosen
from p2pkit.sweep.study import UNIT, Work, runs_of
from p2pkit.untyped import Json, Plain

if TYPE_CHECKING:
    from optuna import Trial


@dataclass
class Worker:
    """Who trains runs of a sweep.

    Args:
        folder: The sweep's folder.
        work: The sweep's work.
        planned: What is to be run.
        registry: The names in force.
        progress: Whether to show how a run comes along.
        overrides: Keys to change for the runs of this process.
        name: What an executor calls it; empty where none has begun it.
        beside: How many work on it, as far as is known.
        say: Hears lines for the user.
    """

    folder: Path
    work: Work
    planned: Planned
    registry: Registry
    progress: bool = False
    overrides: Plain = field(default_factory=dict)
    name: str = ""
    beside: int = 1
    say: Callable[[str], None] = lambda line: None
    _took: list[float] = field(default_factory=list, init=False)

    def train_all(self, trained: Callable[[], None]) -> Stopped | None:
        """Train what there is to do, and tell when a trial is done; return what stopped it, if a signal did."""
        try:
            while (trial := self.work.take()) is not None:
                try:
                    with held(trial, self.name):
                        children = self._train_unit(trial)
                except BaseException:
                    self.work.give_back(trial.number)
                    raise
                self.work.finish(trial, children, self._values(children))
                trained()
        except KeyboardInterrupt as ended:
            return Stopped.of(ended)
        return None

    def _train_unit(self, trial: Trial) -> list[Child]:
        """Train a trial's runs one after another."""
        wanted, unit = self.planned.wanted, int(trial.user_attrs[UNIT])
        point = chosen(trial, wanted, unit)
        children = runs_of(trial) or point
        for index, child in enumerate(children):
            if child.state != "waiting":
                continue
            if any(other.state == "pruned" for other in children):  # another seed of a point that is clearly worse
                children[index] = replace(child, state="pruned")
                continue
            self.say(f"[{unit + 1}/{len(self.work.units)}] {child.label} seed={child.seed}")
            begun = time.monotonic()
            run = latest_begun(child.name, Path(child.home or self.folder), self.folder)
            children[index] = child = replace(child, home=str((run.parent if run else self.folder).absolute()))
            self.work.save(trial, children)
            verdict = Verdict(trial, next(iter(self.planned.goals))) if wanted.prune != "none" and not index else None
            children[index] = done = self._train(child, run, verdict)
            self._took.append(time.monotonic() - begun)
            self.work.save(trial, children)
            self.say(self._told(done))
        return children

    def _values(self, children: list[Child]) -> list[float]:
        """Return by what a trial is judged, means over its runs; nothing where a run has no such score."""
        scores = [{**child.metrics, **child.costs} for child in children]
        goals = [goal_of(scores[0], goal) for goal in self.planned.goals]
        if any(goal is None or not math.isfinite(each.get(goal, math.nan)) for goal in goals for each in scores):
            return []
        return [statistics.fmean(each[str(goal)] for each in scores) for goal in goals]

    def _told(self, done: Child) -> str:
        """Say what a run came to, and how long the rest will take at the pace so far."""
        scores = "  ".join(f"{name} {value:.4g}" for name, value in done.metrics.items())
        outcome = f"failed: {done.error}" if done.state == "failed" else f"{scores}  {done.error}".rstrip()
        units = self.work.units
        waiting = sum(child.state == "waiting" for unit in units for child in unit)
        waiting += sum(self.planned.wanted.seeds for unit in units if not unit)
        seconds = waiting * statistics.fmean(self._took) / self.beside
        return f"    {outcome}" + (f"; {waiting} more, about {timespan(seconds)}" if waiting else "")

    def _train(self, child: Child, begun: Path | None, verdict: Verdict | None) -> Child:
        """Train one run, from its last checkpoint where there is one.

        Raises:
            Stopped: A signal stopped it.
        """
        everyone = (each for unit in self.work.units for each in unit)
        tags = {"tracking.tags": Naming(self.folder.name, self.planned.wanted).tags(child, everyone)}
        own = {"tracking.folder": child.home, "tracking.name": child.name, "engine.seed": child.seed, **tags}
        told: dict[str, Json] = {"registry": self.registry, "progress": self.progress, "on_evaluated": verdict}
        try:
            if begun is not None:
                run = api.resume(begun, **told, **self.overrides)
            else:
                options = {**child.settings, **self.overrides, **own}
                run = api.train(shared_keys(self.planned.source.raw), **told, **options)
        except P2pkitError as error:
            return replace(child, state="failed", error=str(error))
        if run.signal is not None:
            raise Stopped(run.signal)
        pruned = verdict is not None and verdict.ended(run.reason)
        return replace(
            child,
            state="pruned" if pruned else "finished",
            folder=run.folder.name,
            metrics=dict(run.report.metrics) if run.report else {},
            costs=dict(load_costs(run.folder)),
            error=run.reason if pruned else "",
        )
