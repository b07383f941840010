"""Work on this machine: in this process, or in several, among which the GPUs are shared out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated

from pydantic import Field

import p2pkit
from p2pkit.builtin.local_executor.child import Child
from p2pkit.builtin.local_executor.gpus import Devices, Gpus, visible_gpus
from p2pkit.untyped import Plain

Count = Annotated[int, Field(ge=1, le=1024)]


class Local:
    """Processes of this machine; with one of them, the process that asks does the work itself.

    Where there are GPUs, a process sees those alone that its piece of work asks for, one by default.
    """

    def __init__(
        self,
        *,
        processes: Annotated[
            Count | None, Field(description="How many; null for one for each GPU, or else for every four cores.")
        ] = None,
        threads: Annotated[
            Count | None, Field(description="Threads of torch in each; null for an equal share of the cores.")
        ] = None,
    ) -> None:
        gpus = visible_gpus()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.workers = processes or len(gpus) or max(1, cores // 4)
        self._gpus = Gpus(gpus)
        self._threads = threads or max(1, cores // self.workers)
        self._pool = ThreadPoolExecutor(self.workers)  # a thread waits for each process
        self._lock = threading.Lock()
        self._children: set[Child] = set()
        self._idle: list[Child] = []
        self._closed = False

    def require(self, resources: p2pkit.Resources) -> None:
        """Refuse what this machine never has."""
        self._gpus.require(resources.gpus)

    def submit(self, work: p2pkit.Work, resources: p2pkit.Resources, tell: p2pkit.Tell) -> Future[Plain]:
        """Let the next free process do the work, or do it at once where this is the only one."""
        self.require(resources)
        if self.workers > 1:
            return self._pool.submit(self._do, work, resources, tell)
        done: Future[Plain] = Future()
        done.set_result(p2pkit.do_work(work, tell))
        return done

    def close(self) -> None:
        """End what still runs, and wait for it."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._closed = True
            children = list(self._children)
        for child in children:
            child.dismiss()
        self._pool.shutdown()
        for child in children:
            child.wait()

    def _do(self, work: p2pkit.Work, resources: p2pkit.Resources, tell: p2pkit.Tell) -> Plain:
        devices = self._gpus.take(resources.gpus)
        try:
            child = self._free_child(devices)
            try:
                came = child.do(work, tell)
            except BaseException:
                self._end(child)
                raise
            with self._lock:
                self._idle.append(child)
            return came
        finally:
            self._gpus.give_back(devices, resources.gpus)

    def _free_child(self, devices: Devices) -> Child:
        """Return a process that sees these GPUs and has nothing to do, or begin one in the place of another."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            fitting = [child for child in self._idle if child.devices == devices]
            other = None if fitting else next(iter(self._idle), None)
            for child in (*fitting[:1], *filter(None, [other])):
                self._idle.remove(child)
            if not fitting:
                fitting = [Child(devices, self._threads)]
                self._children.add(fitting[0])
        if other is not None:
            self._end(other)
        return fitting[0]

    def _end(self, child: Child) -> None:
        child.dismiss()
        child.wait()
        with self._lock:
            self._children.discard(child)


@p2pkit.hookimpl
def p2pkit_executors() -> Iterator[p2pkit.Executor]:
    """Offer the processes of this machine."""
    yield p2pkit.Executor("local", Local)
