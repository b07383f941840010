"""Who begins or resumes a sweep: trains itself, or has an executor's workers train, and shows what came of it."""

from __future__ import annotations

import signal
import uuid
from contextlib import closing
from dataclasses import replace

from p2pkit.errors import P2pkitError, Problem, Stopped
from p2pkit.executing import perform
from p2pkit.mlflow_store import RUN_ID_FILE
from p2pkit.parts import ExecutorPart
from p2pkit.progress import reporter
from p2pkit.sweep.parent import Parent
from p2pkit.sweep.result import Sweep, write_results
from p2pkit.sweep.worker import Worker
from p2pkit.types import Work, optional
from p2pkit.untyped import Plain

CALL = "p2pkit.sweep.work:work_on"


def lead(worker: Worker, storage: str | None, *, first: bool = False) -> Sweep:
    """Have a sweep's runs trained until nothing is left to take, or a signal comes; then show what there is.

    Args:
        worker: This process's part of it, if it trains itself.
        storage: Where the study lies.
        first: Whether the sweep begins.
    """
    parent = Parent(worker.folder, worker.planned, worker.registry, reporter(worker.progress).warn, resumed=not first)
    try:
        parent.begin()
        _note_record(worker)
        part = worker.planned.executor
        stopped = _hand_out(worker, storage, part, parent) if part else worker.train_all(lambda: _tell(parent, worker))
        swept = replace(_snapshot(worker), signal=stopped.signal if stopped else None)
        if not swept.busy:  # else the last of those who work on it does this
            parent.summarise(swept, write_results(swept))
    except BaseException as error:
        parent.end(error)
        raise
    if not swept.busy:
        parent.end(stopped)
    return swept


def _hand_out(worker: Worker, storage: str | None, part: ExecutorPart, parent: Parent) -> Stopped | None:
    """Have as many workers of an executor train as it has, or as there is work for; return what stopped them.

    Raises:
        P2pkitError: Some have failed, and runs are left that nobody trains.
    """
    executor, mark = part.build(), uuid.uuid4().hex
    left = sum(not unit or any(child.state == "waiting" for child in unit) for unit in worker.work.units)
    count = min(left, optional.workers(executor) or left)
    shared = {"sweep": str(worker.folder.absolute()), "storage": storage, "registry": worker.registry.plain()}
    shared |= {"beside": count, "overrides": worker.overrides}
    names = [f"{mark}/{number}" for number in range(1, count + 1)]
    works = [Work(CALL, {**shared, "name": name}, f"worker {name.rpartition('/')[2]}") for name in names]
    warn, problems = reporter(worker.progress).warn, list[Problem]()

    def told(work: Work, said: Plain) -> None:
        if "line" in said:
            worker.say(f"{work.name} {said['line']}")
        else:
            _tell(parent, worker)

    def lost(work: Work, why: str) -> None:
        warn(f"{work.name} was lost: {why}")
        worker.work.give_back_of(work.arguments["name"])

    try:
        outcomes = perform(executor, works, part.resources, retries=part.retries, told=told, lost=lost)
        with closing(outcomes):
            problems += [problem for done in outcomes for problem in done.problems]
    except KeyboardInterrupt as ended:
        return ended if isinstance(ended, Stopped) else Stopped(signal.SIGINT)
    if problems and not _snapshot(worker).complete:
        raise P2pkitError(dict.fromkeys(problems))
    for problem in dict.fromkeys(problems):
        warn(str(problem))
    return None


def _tell(parent: Parent, worker: Worker) -> None:
    parent.progress(_snapshot(worker))


def _snapshot(worker: Worker) -> Sweep:
    units, planned = worker.work.units, worker.planned
    return Sweep(
        folder=worker.folder,
        children=tuple(child for unit in units for child in unit),
        open=sum(not unit for unit in units),
        experiment=planned.first.plan.config.tracking.experiment,
        goals=planned.goals,
        busy=worker.work.busy,
        published=planned.wanted.published,
    )


def _note_record(worker: Worker) -> None:
    """Let those who join without this folder know which run the sweep is in MLflow."""
    note, study = worker.folder / RUN_ID_FILE, worker.work.study
    if note.is_file() and RUN_ID_FILE not in study.user_attrs:
        study.set_user_attr(RUN_ID_FILE, note.read_text(encoding="utf-8"))
