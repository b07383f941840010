"""Tasks on a cluster, and the one thread that attends to them: it hears what they tell, and settles their futures."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from typing import NamedTuple

import p2pkit
import ray
from p2pkit.untyped import Plain, Untyped
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from p2pkit_ray import there
from p2pkit_ray.connection import connect
from p2pkit_ray.nodes import Nodes

TICK = 0.5
"""Seconds between two looks at what was told."""
GRACE = 300.0
"""Seconds that work has to save what it has, before it is ended by force."""
_NUMBERS = itertools.count()
"""Pieces of work, by which the ears tell them apart."""


@lru_cache(maxsize=1)
def _ears(job: str) -> Untyped:
    """Start the ears of this process: one actor for all executors of a connection, beside it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(there.Ears).options(num_cpus=0, scheduling_strategy=here).remote()


class Lost(Exception):
    """A task, with its node or its process."""


class _Given(NamedTuple):
    tell: p2pkit.Tell
    number: int
    future: Future[Plain]


class Cluster:
    """A cluster that this process is connected with.

    Args:
        address: As `connect` takes it.

    Raises:
        P2pkitError: It can't be used.
    """

    def __init__(self, address: str | None) -> None:
        self._own = connect(address)
        self._ears = _ears(ray.get_runtime_context().get_job_id())
        self._given: dict[Untyped, _Given] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._attending = threading.Thread(target=self._watch, daemon=True)
        self._attending.start()

    @property
    def slots(self) -> int:
        """How many pieces of work of the usual size it holds at a time."""
        return Nodes.alive().slots

    def demands(self, resources: p2pkit.Resources, more: Mapping[str, float]) -> dict[str, float]:
        """Return what a piece of work needs, in Ray's names; see `Nodes.demands`."""
        return Nodes.alive().demands(resources, more)

    def submit(self, work: p2pkit.Work, needed: Mapping[str, float], folder: str, tell: p2pkit.Tell) -> Future[Plain]:
        """Start a task; its future is settled once it is over."""
        given = _Given(tell, next(_NUMBERS), Future())
        with self._changed:
            if self._closed or not self._attending.is_alive():
                raise p2pkit.P2pkitError(p2pkit.Problem("executor", "the Ray cluster is gone, or was let go of"))
            run = there.task(work.name, needed)
            self._given[run.remote(asdict(work), folder, given.number, self._ears)] = given
            self._changed.notify()
        return given.future

    def close(self) -> None:
        """Cancel all tasks, which raises `KeyboardInterrupt` in those that run, wait for them, and let go of Ray."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
            running = list(self._given)
        for force in (False, True):
            for task in running:
                ray.cancel(task, force=force)
            running = ray.wait(running, num_returns=len(running), timeout=GRACE)[1] if running else []
        self._attending.join()
        if self._own:
            ray.shutdown()

    def _watch(self) -> None:
        """Attend to tasks; where the cluster itself is gone, all of them are lost."""
        try:
            self._attend()
        except Exception as error:
            with self._changed:
                for given in self._given.values():
                    given.future.set_exception(_lost(error))
                self._given.clear()

    def _attend(self) -> None:
        """Settle tasks until there are none and there will be none."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._given or self._closed)
                running = list(self._given)
            if not running:
                return
            done = ray.wait(running, num_returns=1, timeout=TICK)[0]
            self._hear()  # before the futures: what a task has told is older than its end
            for task in done:
                with self._changed:
                    given = self._given.pop(task)
                _settle(task, given.future)

    def _hear(self) -> None:
        tells = {given.number: given.tell for given in list(self._given.values())}
        with suppress(ray.exceptions.RayError):  # the ears are lost with their node; what is told is no more than that
            for number, said in ray.get(self._ears.heard.remote(list(tells))):
                tells[number](said)


def _settle(task: Untyped, future: Future[Plain]) -> None:
    """Give a future what became of its task: what the work came to, or how its worker was lost."""
    try:
        future.set_result(ray.get(task))
    except ray.exceptions.RayTaskError as error:  # p2pkit raises nothing there: it is what is installed
        cause = f"a node can't do it: {str(error.cause).strip().splitlines()[-1]}"
        remedy = "install the same p2pkit, p2pkit-ray and plugins on all nodes"
        future.set_result({"problems": [asdict(p2pkit.Problem("executor", cause, remedy))]})
    except Exception as error:
        future.set_exception(_lost(error))


def _lost(error: Exception) -> Lost:
    """Return the first sentence of Ray's, which are many."""
    return Lost(str(error).strip().partition(". ")[0].partition("\n")[0])
