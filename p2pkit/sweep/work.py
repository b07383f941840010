"""Work on a sweep until nothing is left to take: alone, or together with other processes and machines."""

from __future__ import annotations

import math
import os
import re
import signal
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from p2pkit import api
from p2pkit.engine.distributed.world import require_single_process
from p2pkit.engine.storage.costs import load_costs
from p2pkit.engine.storage.find import new_folder
from p2pkit.engine.storage.layout import CHECKPOINTS, checkpoints
from p2pkit.engine.storage.state import described
from p2pkit.errors import ConfigError, ModelError, P2pkitError, Problem, Stopped
from p2pkit.mlflow_store import RUN_ID_FILE
from p2pkit.plugins.one_file import FOLDER, bring_along
from p2pkit.progress import reporter, timespan
from p2pkit.registry import Registry, load_registry, names_in_force
from p2pkit.sweep.holder import held
from p2pkit.sweep.naming import Naming
from p2pkit.sweep.parent import Parent
from p2pkit.sweep.plan import Axes, Config, Planned, plan, shared_keys
from p2pkit.sweep.points import Child, goal_of
from p2pkit.sweep.result import Sweep, write_results
from p2pkit.sweep.search import Verdict, chosen
from p2pkit.sweep.storage import STATE, answering, note_storage, noted_storage, open_storage
from p2pkit.sweep.study import CONFIG, UNIT, Work, create_study, load_study, runs_of
from p2pkit.untyped import Json, Plain
from p2pkit.yaml_files import shortened

if TYPE_CHECKING:
    from optuna import Study, Trial

STORAGE = "sweep.storage"


def sweep(
    config: Config,
    axes: Axes = (),
    *,
    name: str | None = None,
    registry: Registry | None = None,
    progress: bool = False,
    **overrides: Json,
) -> Sweep:
    """Train a run for each point of a sweep.

    All points are checked before the first is trained. A run that fails is recorded, and the sweep goes on.

    Args:
        config: What all runs share; its key `sweep` may say what differs.
        axes: More keys that differ, with their values: `["losses.l1.weight=1,10"]`, or a mapping.
        name: The sweep's name; by default the recipe's name and the time.
        registry: The names in force.
        progress: Whether to show how the runs come along.
        **overrides: Keys to change: of all runs, or of the sweep itself (`**{"sweep.seeds": 3}`).

    Returns:
        The sweep; runs still wait in it where a signal stopped it.

    Raises:
        ConfigError: Points can't be run; holds all problems.
        StorageError: What the sweep is shared by does not answer.
        P2pkitError: torchrun has started several processes.
    """
    require_single_process("a sweep")
    registry = registry or load_registry()
    planned = plan(config, axes, registry=registry, **overrides)
    tracking, address = planned.first.plan.config.tracking, planned.wanted.storage
    folder = new_folder(tracking.folder, name or tracking.name, f"sweep-{planned.source.name}")
    with answering(address):
        try:
            study = create_study(open_storage(address, folder), folder.name, planned)
        except P2pkitError:
            folder.rmdir()
            raise
        note_storage(folder, study.study_name, address)
        told = [[checked.plan.resolved(), described(checked.spec)] for checked in planned.checked.values()]
        bring_along(registry.plugins.files, told, folder)
        return _Worker(folder, study, planned, registry, progress=progress, first=True).work()


def join_sweep(
    sweep: str | Path,
    *,
    again: bool = False,
    registry: Registry | None = None,
    progress: bool = False,
    trust: bool = False,
    **overrides: Json,
) -> Sweep:
    """Work on a sweep that exists: go on with one that was stopped, or help one that others work on.

    Finished runs stay, and interrupted ones go on where they were. No run is trained by two processes.

    Args:
        sweep: Its folder, or its name in the folder of runs, or in the storage that `sweep.storage` names.
        again: Whether to try again what has failed.
        registry: The names in force.
        progress: Whether to show how the runs come along.
        trust: Whether one-file plugins that the sweep brings along, and that are none of yours, may be run.
        **overrides: Keys to change for the runs of this process, for instance `**{"engine.device": "cuda:1"}`.

    Returns:
        The sweep as it stands when nothing is left to take.

    Raises:
        ModelError: There is no such sweep.
        ConfigError: Its points can't be run here; holds all problems.
        PluginError: It brings code along that is not trusted.
        StorageError: What it is shared by does not answer.
    """
    require_single_process("a sweep")
    folder, name, address = _find(sweep, overrides.pop(STORAGE, None))
    with answering(address):
        study = load_study(open_storage(address, folder), name)
        if not (folder / STATE).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            note_storage(folder, name, address)
            if RUN_ID_FILE in study.user_attrs:  # the sweep is one run in a store of MLflow that all share
                (folder / RUN_ID_FILE).write_text(study.user_attrs[RUN_ID_FILE], encoding="utf-8")
        brought = [file.stem for file in (folder / FOLDER).glob("*.py")]
        registry = names_in_force(registry, trust=trust).with_brought(brought, folder)
        planned = plan(study.user_attrs[CONFIG], registry=registry, **overrides)
        fixed = {"sweep", *planned.wanted.axes, *(key for point in planned.wanted.points.values() for key in point)}
        wrong = [key for key in overrides if any(f"{key}.".startswith(f"{each}.") for each in fixed)]
        if wrong:
            remedy = "only what is the same in all runs can be changed here, such as engine.device"
            raise ConfigError(Problem(key, "is what the sweep compares", remedy) for key in wrong)
        worker = _Worker(folder, study, planned, registry, progress=progress, overrides=overrides)
        if again:
            worker.queue.try_again()
        return worker.work()


def _find(name: str | Path, storage: str | None, parent: Path = Path("runs")) -> tuple[Path, str, str | None]:
    """Return a sweep's folder here, its study's name and where that lies."""
    for folder in (Path(name), parent / name):
        if os.path.isfile(folder / STATE):
            study, address = noted_storage(folder)
            return folder, study, storage or address
    if storage is not None:
        return parent / Path(name).name, Path(name).name, storage
    known = sorted(file.parent.name for file in parent.glob(f"*/{STATE}"))
    remedy = f"sweeps in {parent}: {', '.join(known)}" if known else f"there are no sweeps in {parent}"
    raise ModelError(Problem(shortened(str(name)), "there is no sweep to go on with", remedy))


class _Worker:
    """One process's part of a sweep.

    Args:
        folder: The sweep's folder.
        study: Its work.
        planned: What is to be run.
        registry: The names in force.
        progress: Whether to show how the runs come along.
        first: Whether this process begins the sweep.
        overrides: Keys to change for the runs of this process.
    """

    def __init__(
        self,
        folder: Path,
        study: Study,
        planned: Planned,
        registry: Registry,
        *,
        progress: bool,
        first: bool = False,
        overrides: Plain | None = None,
    ) -> None:
        self.folder = folder
        self.planned = planned
        self.registry = registry
        self.progress = progress
        self.overrides = overrides or {}
        self.queue = Work(study, planned, first=first)
        self.parent = Parent(folder, planned, registry, reporter(progress).warn, resumed=not first)
        self._took: list[float] = []

    def work(self) -> Sweep:
        """Train until nothing is left to take, or a signal comes; then show what there is."""
        try:
            self.parent.begin()
            self._note_record()
            stopped = self._train_all()
            swept = replace(self._snapshot(), signal=stopped.signal if stopped else None)
            if not swept.busy:  # else the last of those who work on it does this
                self.parent.summarise(swept, write_results(swept))
        except BaseException as error:
            self.parent.end(error)
            raise
        if not swept.busy:
            self.parent.end(stopped)
        return swept

    def _note_record(self) -> None:
        """Let those who join without this folder know which run the sweep is in MLflow."""
        note, study = self.folder / RUN_ID_FILE, self.queue.study
        if note.is_file() and RUN_ID_FILE not in study.user_attrs:
            study.set_user_attr(RUN_ID_FILE, note.read_text(encoding="utf-8"))

    def _train_all(self) -> Stopped | None:
        """Train what there is to do; return what stopped it, if a signal did."""
        try:
            while (trial := self.queue.take()) is not None:
                try:
                    with held(trial):
                        children = self._train_unit(trial)
                except BaseException:
                    self.queue.give_back(trial.number)
                    raise
                self.queue.finish(trial, children, self._values(children))
                self.parent.progress(self._snapshot())
        except KeyboardInterrupt as ended:
            return ended if isinstance(ended, Stopped) else Stopped(signal.SIGINT)
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
            if self.progress:
                print(f"[{unit + 1}/{len(self.queue.units)}] {child.label} seed={child.seed}", flush=True)
            begun = time.monotonic()
            run = _begun(child, self.folder)
            children[index] = child = replace(child, home=str((run.parent if run else self.folder).absolute()))
            self.queue.save(trial, children)
            verdict = Verdict(trial, next(iter(self.planned.goals))) if wanted.prune != "none" and not index else None
            children[index] = done = self._train(child, run, verdict)
            self._took.append(time.monotonic() - begun)
            self.queue.save(trial, children)
            if self.progress:
                print(self._told(done), flush=True)
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
        units = self.queue.units
        waiting = sum(child.state == "waiting" for unit in units for child in unit)
        waiting += sum(self.planned.wanted.seeds for unit in units if not unit)
        left = f"; {waiting} more, about {timespan(waiting * statistics.fmean(self._took))}" if waiting else ""
        return f"    {outcome}{left}"

    def _train(self, child: Child, begun: Path | None, verdict: Verdict | None) -> Child:
        """Train one run, from its last checkpoint where there is one.

        Raises:
            Stopped: A signal stopped it.
        """
        everyone = (each for unit in self.queue.units for each in unit)
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
        metrics = dict(run.report.metrics) if run.report else {}
        return replace(
            child,
            state="pruned" if pruned else "finished",
            folder=run.folder.name,
            metrics=metrics,
            costs=dict(load_costs(run.folder)),
            error=run.reason if pruned else "",
        )

    def _snapshot(self) -> Sweep:
        units = self.queue.units
        return Sweep(
            folder=self.folder,
            children=tuple(child for unit in units for child in unit),
            open=sum(not unit for unit in units),
            experiment=self.planned.first.plan.config.tracking.experiment,
            goals=self.planned.goals,
            busy=self.queue.busy,
            published=self.planned.wanted.published,
        )


def _begun(child: Child, folder: Path) -> Path | None:
    """Return the folder of the run's latest beginning that has left a checkpoint which can be reached from here."""
    named = re.compile(rf"{re.escape(child.name)}(?:-(\d+))?")
    for home in (Path(child.home or folder), folder):
        paths = home.iterdir() if home.is_dir() else ()
        found = [(int(match[1] or 1), path) for path in paths if (match := named.fullmatch(path.name))]
        kept = [path for _, path in sorted(found) if checkpoints(path / CHECKPOINTS)]
        if kept:
            return kept[-1]
    return None
