"""Work on a sweep until nothing is left to take: alone, or together with other processes and machines."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from p2pkit.config.executor import split_overrides
from p2pkit.engine.distributed.world import require_single_process
from p2pkit.engine.storage.find import new_folder
from p2pkit.engine.storage.state import described
from p2pkit.errors import ConfigError, ModelError, P2pkitError, Problem
from p2pkit.mlflow_store import RUN_ID_FILE
from p2pkit.plugins.one_file import FOLDER, bring_along
from p2pkit.progress import line_printer
from p2pkit.registry import Registry, load_registry, names_in_force
from p2pkit.sweep.lead import lead
from p2pkit.sweep.plan import Axes, Config, Planned, plan
from p2pkit.sweep.result import Sweep
from p2pkit.sweep.storage import STATE, answering, note_storage, noted_storage, open_storage
from p2pkit.sweep.study import CONFIG, Work, create_study, load_study
from p2pkit.sweep.worker import Worker
from p2pkit.types import Tell, WorkExecutor
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
        StorageError: What the sweep is shared by does not answer.
        P2pkitError: torchrun has started several processes.
    """
    require_single_process("a sweep")
    registry = registry or load_registry()
    planned = plan(config, axes, registry=registry, **overrides)
    tracking, address = planned.first.plan.config.tracking, planned.wanted.storage
    with _ready(planned) as executor, answering(address):
        folder = new_folder(tracking.folder, name or tracking.name, f"sweep-{planned.source.name}")
        try:
            study = create_study(open_storage(address, folder), folder.name, planned)
        except P2pkitError:
            folder.rmdir()
            raise
        note_storage(folder, study.study_name, address)
        told = [[checked.plan.resolved(), described(checked.spec)] for checked in planned.checked.values()]
        bring_along(registry.plugins.files, told, folder)
        work, say = Work(study, planned, first=True), line_printer(progress)
        return lead(Worker(folder, work, planned, registry, progress, say=say), address, executor, first=True)


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
    folder, name, address = _find(sweep, overrides.pop("sweep.storage", None))
    with answering(address):
        worker = _joined(folder, name, address, names_in_force(registry, trust=trust), overrides)
        worker.progress, worker.say = progress, line_printer(progress)
        with _ready(worker.planned) as executor:
            if again:
                worker.work.try_again()
            return lead(worker, address, executor)


def work_on(
    tell: Tell, *, sweep: str, storage: str | None, registry: Plain, name: str, beside: int, overrides: Plain
) -> None:
    """Train runs of a sweep until nothing is left to take: the work of an executor.

    Args:
        tell: Hears lines, and when a run is done.
        sweep: The sweep's folder.
        storage: Where the study lies, if not in there.
        registry: The names in force, as plain data.
        name: What the worker is called.
        beside: How many there are.
        overrides: Keys to change for the runs of this process.

    Raises:
        ModelError: The sweep can't be reached from here.
        Stopped: A signal has stopped it; what it had begun can be gone on with.
    """
    if storage is None and not (Path(sweep) / STATE).is_file():
        remedy = "let all machines share the folder of runs, or name a server as sweep.storage"
        raise ModelError(Problem(sweep, "the sweep's folder can't be reached from where its work runs", remedy))
    folder, study, address = _find(sweep, storage)
    with answering(address):
        worker = _joined(folder, study, address, Registry.from_plain(registry), overrides)
        worker.name, worker.beside, worker.say = name, beside, lambda line: tell({"line": line})
        stopped = worker.train_all(lambda: tell({"trained": True}))
    if stopped is not None:
        raise stopped


def _joined(folder: Path, name: str, address: str | None, registry: Registry, overrides: Plain) -> Worker:
    """Open a sweep that exists, as far as its parts can be had here."""
    study = load_study(open_storage(address, folder), name)
    if not (folder / STATE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        note_storage(folder, name, address)
        if RUN_ID_FILE in study.user_attrs:  # the sweep is one run in a store of MLflow that all share
            (folder / RUN_ID_FILE).write_text(study.user_attrs[RUN_ID_FILE], encoding="utf-8")
    brought = [file.stem for file in (folder / FOLDER).glob("*.py")]
    registry = registry.with_brought(brought, folder)
    planned = plan(study.user_attrs[CONFIG], registry=registry, **overrides)
    _, own = split_overrides(overrides)
    fixed = {"sweep", *planned.wanted.axes, *(key for point in planned.wanted.points.values() for key in point)}
    wrong = [key for key in own if any(f"{key}.".startswith(f"{each}.") for each in fixed)]
    if wrong:
        remedy = "only what is the same in all runs can be changed here, such as engine.device"
        raise ConfigError(Problem(key, "is what the sweep compares", remedy) for key in wrong)
    return Worker(folder, Work(study, planned, first=False), planned, registry, overrides=own)


def _ready(planned: Planned) -> AbstractContextManager[WorkExecutor | None]:
    """Context with the executor that a sweep names; None where this process trains."""
    return planned.executor.ready() if planned.executor else nullcontext()


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
