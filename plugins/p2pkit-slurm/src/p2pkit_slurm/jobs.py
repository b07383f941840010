"""Jobs, and the one thread that attends to them: it reads what they tell, and settles their futures."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path

import p2pkit
from p2pkit.untyped import Json, Plain, Untyped
from submitit import AutoExecutor
from submitit.core.utils import FailedJobError

from p2pkit_slurm.queue import Queue
from p2pkit_slurm.refusal import refusal
from p2pkit_slurm.there import do

TICK = 1.0
"""Seconds between two looks at what was told, and at which jobs are over; Slurm itself is asked less often."""

PATIENCE = 15.0
"""Seconds in which the result of a job that is over may come, by a disk that many machines share."""


class Lost(Exception):
    """A job that has ended without a result."""


@dataclass
class _Given:
    job: Untyped
    lines: Path
    tell: p2pkit.Tell
    future: Future[Plain] = field(default_factory=Future)
    read: int = 0
    over: float | None = None

    @property
    def has_result(self) -> bool:
        return bool(self.job.paths.result_pickle.exists())


class Jobs:
    """Jobs that were given, and are not over.

    Args:
        folder: Where they leave what they print.
        cluster: `slurm` or `local`.
    """

    def __init__(self, folder: Path, cluster: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # work may hold the password of a sweep's storage
        self._folder, self._cluster = folder, cluster
        self._given: list[_Given] = []
        self._queue = Queue()
        self._changed = threading.Condition()
        self._closed = False
        self._attending = threading.Thread(target=self._attend, daemon=True)
        self._attending.start()

    def submit(self, work: p2pkit.Work, options: Mapping[str, Json], tell: p2pkit.Tell) -> Future[Plain]:
        """Queue a job; its future is settled once it is over.

        Raises:
            P2pkitError: Slurm doesn't take it.
        """
        executor = AutoExecutor(self._folder, cluster=self._cluster)
        executor.update_parameters(**options)
        lines = self._folder / f"{uuid.uuid4().hex}.told"
        lines.touch()
        try:
            job = executor.submit(do, asdict(work), str(lines))
        except FailedJobError as error:
            raise p2pkit.P2pkitError(refusal(str(error))) from None
        if self._cluster == "slurm":
            job.watcher = self._queue
        given = _Given(job, lines, tell)
        with self._changed:
            self._given.append(given)
            self._changed.notify()
        return given.future

    def close(self) -> None:
        """Cancel what is not over, by SIGTERM where it runs, and wait for it."""
        with self._changed:
            self._closed = True
            self._queue.hasten()
            self._changed.notify()
            for given in self._given:
                given.job.cancel(check=False)
        self._attending.join()

    def _attend(self) -> None:
        """Settle jobs until there are none and there will be none."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._given or self._closed)
                given = list(self._given)
            if not given:
                return
            over = [each for each in given if self._is_over(each)]
            for each in given:
                _hear(each)  # before the futures: what a job has told is older than its end
            with self._changed:
                self._given = [each for each in self._given if each not in over]
            for each in over:
                each.lines.unlink()
                _settle(each)
            time.sleep(TICK)

    def _is_over(self, given: _Given) -> bool:
        """Whether a job has ended, and its result is there or will not come."""
        if not given.job.done():
            return False
        given.over = given.over or time.monotonic()
        patience = 0.0 if self._closed or self._cluster == "local" else PATIENCE
        return given.has_result or time.monotonic() - given.over >= patience


def _hear(given: _Given) -> None:
    """Pass on the lines that are whole."""
    with given.lines.open("rb") as file:
        file.seek(given.read)
        for line in file:
            if line.endswith(b"\n"):
                given.read += len(line)
                given.tell(json.loads(line))


def _settle(given: _Given) -> None:
    """Give a future what became of its job: what the work came to, or how the job was lost."""
    job = given.job
    if not given.has_result:
        given.future.set_exception(Lost(f"job {job.job_id} has ended as {job.state}; see {job.paths.stderr}"))
        return
    try:
        given.future.set_result(job.result())
    except FailedJobError as error:  # p2pkit raises nothing there: it is what is installed
        said = next(line for line in reversed(str(error).splitlines()) if "Error" in line)
        cause = f"a node can't do it: {said.strip()}"
        remedy = f"install the same p2pkit, p2pkit-slurm and plugins on all nodes; see {job.paths.stderr}"
        given.future.set_result({"problems": [asdict(p2pkit.Problem("executor", cause, remedy))]})
