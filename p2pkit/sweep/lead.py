"""Who begins or resumes a sweep: trains itself, or has an executor's workers train, and shows what came of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from p2pkit.errors import P2pkitError, Stopped
from p2pkit.executing import perform_all
from p2pkit.mlflow_store import RUN_ID_FILE
from p2pkit.progress import reporter
from p2pkit.sweep.parent import Parent
from p2pkit.sweep.result import Sweep, write_results
from p2pkit.sweep.worker import Worker
from p2pkit.types import Work, WorkExecutor, optional
from p2pkit.untyped import Json, Plain

CALL = "p2pkit.sweep.work:work_on"


def lead(worker: Worker, storage: str | None, executor: WorkExecutor | None, *, first: bool = False) -> Sweep:
    """Have a sweep's runs trained until nothing is left to take, or a signal comes; then show what there is.

    Args:
        worker: This process's part of it, if it trains itself.
        storage: Where the study lies.
        executor: Who trains; None for this process.
        first: Whether the sweep begins.
    """
    parent = Parent(worker.folder, worker.planned, worker.registry, reporter(worker.progress).warn, resumed=not first)
    try:
        parent.begin()
        _note_record(worker)
        train_all = worker.train_all if executor is None else partial(_hand_out, worker, storage, executor)
        stopped = train_all(lambda: parent.progress(_snapshot(worker)))
        swept = replace(_snapshot(worker), signal=stopped.signal if stopped else None)
        if not swept.busy:  # else the last of those who work on it does this
            parent.summarise(swept, write_results(swept))
    except BaseException as error:
        parent.end(error)
        raise
    if not swept.busy:
        parent.end(stopped)
    return swept


def _hand_out(worker: Worker, storage: str | None, to: WorkExecutor, trained: Callable[[], None]) -> Stopped | None:
    """Have as many workers of an executor train as it has, or as there is work for; return what stopped them.

    Raises:
        P2pkitError: Some have failed, and runs are left that nobody trains.
    """
    part = worker.planned.executor
    assert part is not None
    mark, warn = uuid.uuid4().hex, reporter(worker.progress).warn
    left = sum(not unit or any(child.state == "waiting" for child in unit) for unit in worker.work.units)
    count = min(left, optional.workers(to) or left)
    shared: dict[str, Json] = {"sweep": str(worker.folder.absolute()), "storage": storage}
    shared |= {"registry": worker.registry.plain(), "beside": count, "overrides": worker.overrides}
    works = [Work(CALL, {**shared, "name": f"{mark}/{number}"}, f"worker {number}") for number in range(1, count + 1)]

    def told(work: Work, said: Plain) -> None:
        if "line" in said:
            worker.say(f"{work.name} {said['line']}")
        else:
            trained()

    def lost(work: Work) -> None:
        worker.work.give_back_of(work.arguments["name"])

    try:
        done = perform_all(to, works, part.resources, part.retries, told=told, warn=warn, lost=lost)
    except KeyboardInterrupt as ended:
        return Stopped.of(ended)
    problems = dict.fromkeys(problem for each in done for problem in each.problems)
    if problems and not _snapshot(worker).complete:
        raise P2pkitError(problems)
    for problem in problems:
        warn(str(problem))
    return None


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
