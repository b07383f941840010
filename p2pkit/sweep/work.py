"""Work on a sweep until nothing is left to take: alone, or together with other processes and machines."""

from __future__ import annotations

import os
import re
import signal
import statistics
import time
from dataclasses import replace
from pathlib import Path

from p2pkit import api
from p2pkit.engine.distributed.world import require_single_process
from p2pkit.engine.storage.find import new_folder
from p2pkit.engine.storage.layout import CHECKPOINTS, checkpoints
from p2pkit.engine.storage.state import described
from p2pkit.errors import ConfigError, ModelError, P2pkitError, Problem, Stopped
from p2pkit.plugins.one_file import FOLDER, bring_along
from p2pkit.progress import reporter, timespan
from p2pkit.registry import Registry, load_registry, names_in_force
from p2pkit.sweep.claims import Claim
from p2pkit.sweep.naming import Naming
from p2pkit.sweep.parent import Parent
from p2pkit.sweep.plan import Axes, Config, Planned, plan, shared_keys
from p2pkit.sweep.points import Child
from p2pkit.sweep.result import Sweep, write_results
from p2pkit.sweep.search import Search
from p2pkit.sweep.store import STATE, Store
from p2pkit.untyped import Json, Plain
from p2pkit.yaml_files import shortened


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
        P2pkitError: torchrun has started several processes.
    """
    require_single_process("a sweep")
    registry = registry or load_registry()
    planned = plan(config, axes, registry=registry, **overrides)
    tracking = planned.first.plan.config.tracking
    folder = new_folder(tracking.folder, name or tracking.name, f"sweep-{planned.source.name}")
    store = Store.create(folder, planned.source.raw, planned.units)
    told = [[checked.plan.resolved(), described(checked.spec)] for checked in planned.checked.values()]
    bring_along(registry.plugins.files, told, folder)
    return _Worker(store, planned, registry, progress=progress, first=True).work()


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
        sweep: Its folder, or its name in the folder of runs.
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
    """
    require_single_process("a sweep")
    store = Store(_find(sweep))
    brought = [file.stem for file in (store.folder / FOLDER).glob("*.py")]
    registry = names_in_force(registry, trust=trust).with_brought(brought, store.folder)
    planned = plan(store.config, registry=registry, **overrides)
    fixed = {"sweep", *planned.wanted.axes, *(key for point in planned.wanted.points.values() for key in point)}
    wrong = [key for key in overrides if any(f"{key}.".startswith(f"{each}.") for each in fixed)]
    if wrong:
        remedy = "only what is the same in all runs can be changed here, such as engine.device"
        raise ConfigError(Problem(key, "is what the sweep compares", remedy) for key in wrong)
    return _Worker(store, planned, registry, progress=progress, again=again, overrides=overrides).work()


def _find(name: str | Path, parent: Path = Path("runs")) -> Path:
    for folder in (Path(name), parent / name):
        if os.path.isfile(folder / STATE):
            return folder
    known = sorted(file.parent.name for file in parent.glob(f"*/{STATE}"))
    remedy = f"sweeps in {parent}: {', '.join(known)}" if known else f"there are no sweeps in {parent}"
    raise ModelError(Problem(shortened(str(name)), "there is no sweep to go on with", remedy))


class _Worker:
    """One process's part of a sweep.

    Args:
        store: The sweep.
        planned: What is to be run.
        registry: The names in force.
        progress: Whether to show how the runs come along.
        first: Whether this process begins the sweep.
        again: Whether to try again what has failed.
        overrides: Keys to change for the runs of this process.
    """

    def __init__(
        self,
        store: Store,
        planned: Planned,
        registry: Registry,
        *,
        progress: bool,
        first: bool = False,
        again: bool = False,
        overrides: Plain | None = None,
    ) -> None:
        self.store = store
        self.planned = planned
        self.registry = registry
        self.progress = progress
        self.overrides = overrides or {}
        self.parent = Parent(store.folder, planned, registry, reporter(progress).warn, resumed=not first)
        self.search = self._search(first)
        failed = (unit for unit in store.units if any(child.state == "failed" for child in store.children(unit)))
        self._took: list[float] = []
        self._again = set(failed) if again else set[int]()

    def _search(self, first: bool) -> Search | None:
        wanted, by = self.planned.wanted, self.planned.by
        if wanted.search != "optuna" or by is None:
            return None
        higher = bool(self.planned.higher_is_better)
        return Search(self.store.folder, wanted, by, higher_is_better=higher, first=first)

    def work(self) -> Sweep:
        """Train until nothing is left to take, or a signal comes; then show what there is."""
        try:
            self.parent.begin()
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

    def _train_all(self) -> Stopped | None:
        """Train what there is to do; return what stopped it, if a signal did."""
        try:
            while (taken := self._next()) is not None:
                unit, claim = taken
                with claim:
                    self._train_unit(unit)
                self.parent.progress(self._snapshot())
        except KeyboardInterrupt as ended:
            return ended if isinstance(ended, Stopped) else Stopped(signal.SIGINT)
        return None

    def _next(self) -> tuple[int, Claim] | None:
        """Claim the first unit in which something is to do."""
        for unit in self.store.units:
            if not self._is_open(unit):
                continue
            claim = self.store.take(unit)
            if claim is None:
                continue
            if self._is_open(unit):
                return unit, claim
            claim.release()  # another process has just finished it
        return None

    def _is_open(self, unit: int) -> bool:
        children = self.store.children(unit)
        return not children or any(self._is_to_do(unit, child) for child in children)

    def _is_to_do(self, unit: int, child: Child) -> bool:
        return child.state == "waiting" or (child.state == "failed" and unit in self._again)

    def _train_unit(self, unit: int) -> None:
        """Train a unit's runs one after another."""
        children = list(self.store.children(unit))
        if not children and self.search is not None:
            children = self.search.ask()
            self.store.save(unit, children)
        for index, child in enumerate(children):
            if not self._is_to_do(unit, child):
                continue
            if self.progress:
                print(f"[{unit + 1}/{len(self.store.units)}] {child.label} seed={child.seed}", flush=True)
            begun = time.monotonic()
            children[index] = done = self._train(child)
            self._took.append(time.monotonic() - begun)
            self.store.save(unit, children)
            if self.progress:
                print(self._told(done), flush=True)
        self._again.discard(unit)
        if self.search is not None:
            self.search.tell(children)

    def _told(self, done: Child) -> str:
        """Say what a run came to, and how long the rest will take at the pace so far."""
        scores = "  ".join(f"{name} {value:.4g}" for name, value in done.metrics.items())
        outcome = scores if done.state == "finished" else f"failed: {done.error}"
        units = [self.store.children(unit) for unit in self.store.units]
        waiting = sum(child.state == "waiting" for unit in units for child in unit)
        waiting += sum(self.planned.wanted.seeds for unit in units if not unit)
        left = f"; {waiting} more, about {timespan(waiting * statistics.fmean(self._took))}" if waiting else ""
        return f"    {outcome}{left}"

    def _train(self, child: Child) -> Child:
        """Train one run, from its last checkpoint where there is one.

        Raises:
            Stopped: A signal stopped it.
        """
        folder = self.store.folder
        begun = _begun(folder, child)
        everyone = (each for unit in self.store.units for each in self.store.children(unit))
        tags = {"tracking.tags": Naming(folder.name, self.planned.wanted).tags(child, everyone)}
        own = {"tracking.folder": str(folder), "tracking.name": child.name, "engine.seed": child.seed, **tags}
        try:
            if begun is not None:
                run = api.resume(begun, registry=self.registry, progress=self.progress, **self.overrides)
            else:
                options = {**child.settings, **self.overrides, **own}
                run = api.train(
                    shared_keys(self.store.config), registry=self.registry, progress=self.progress, **options
                )
        except P2pkitError as error:
            return replace(child, state="failed", error=str(error))
        if run.signal is not None:
            raise Stopped(run.signal)
        metrics = dict(run.report.metrics) if run.report else {}
        return replace(child, state="finished", folder=run.folder.name, metrics=metrics, error="")

    def _snapshot(self) -> Sweep:
        units = [self.store.children(unit) for unit in self.store.units]
        return Sweep(
            folder=self.store.folder,
            children=tuple(child for unit in units for child in unit),
            open=sum(not unit for unit in units),
            experiment=self.planned.first.plan.config.tracking.experiment,
            by=self.planned.by,
            higher_is_better=self.planned.higher_is_better,
            busy=self.store.busy(),
            published=self.planned.wanted.published,
        )


def _begun(folder: Path, child: Child) -> Path | None:
    """Return the folder of the run's latest beginning that has left a checkpoint."""
    named = re.compile(rf"{re.escape(child.name)}(?:-(\d+))?")
    found = [(int(match[1] or 1), path) for path in folder.iterdir() if (match := named.fullmatch(path.name))]
    kept = [path for _, path in sorted(found) if checkpoints(path / CHECKPOINTS)]
    return kept[-1] if kept else None
