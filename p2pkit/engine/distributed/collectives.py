"""Several processes that train one run: torch's own distributed engine, and what they have to agree on.

Each function does nothing, and costs nothing, where a process is on its own.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore

from p2pkit import errors
from p2pkit.engine.distributed.failure import PATIENCE, propagate_failure, torchrun_store
from p2pkit.engine.distributed.meeting import meet
from p2pkit.engine.distributed.world import World, world
from p2pkit.errors import ConfigError, P2pkitError, Problem

_groups = itertools.count()
Result = TypeVar("Result")


def is_initialized() -> bool:
    """Whether this process works together with others right now."""
    return dist.is_available() and dist.is_initialized()


@contextmanager
def process_group() -> Iterator[World]:
    """Join the other processes of the run, where there are any, and leave them at the end.

    Yields:
        This process among them.

    Raises:
        TrainingError: Another process is gone.
    """
    here = world()
    if not here.several or is_initialized():
        yield here
        return
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(here.local_rank % torch.cuda.device_count())
    # DistributedDataParallel imports this, whose functions' defaults hold the group that there is then: the group's
    # threads would outlive it, and could abort the process at its end.
    importlib.import_module("torch.distributed.nn.functional")
    with propagate_failure():
        own = PrefixStore(f"p2pkit/{_this_start()}/{next(_groups)}", torchrun_store())
        dist.init_process_group(backend, store=own, rank=here.rank, world_size=here.count, timeout=PATIENCE)
        try:
            yield here
        finally:
            dist.destroy_process_group()


@functools.cache
def _this_start() -> str:
    return meet(torchrun_store(), world(), PATIENCE.total_seconds())


def raise_on_all_ranks(act: Callable[[], Result]) -> Result:
    """Do something in every process, so that what is wrong in one is wrong in all.

    Args:
        act: What to do.

    Returns:
        What it returned in this process.

    Raises:
        P2pkitError: What any process found, the same in all of them.
    """
    if not is_initialized():
        return act()
    result: Result | None = None
    kind, problems = "", tuple[Problem, ...]()
    try:
        result = act()
    except P2pkitError as error:
        kind = next(base.__name__ for base in type(error).__mro__ if base.__module__ == errors.__name__)
        problems = error.problems
    found = all_gather((kind, problems))
    kinds = [kind for kind, _ in found if kind]
    if kinds:
        wrong: type[P2pkitError] = getattr(errors, kinds[0])
        raise wrong(_merged([problems for _, problems in found]))
    return cast(Result, result)


def on_main_rank(act: Callable[[], Result]) -> Result:
    """Do something in the main process only, and give its result to all."""
    result = raise_on_all_ranks(lambda: act() if world().main else None)
    return cast(Result, all_gather(result)[0])


def all_gather(value: Result) -> list[Result]:
    """Return the value that each process has, by rank."""
    if not is_initialized():
        return [value]
    values = [value] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def check_equal_across_ranks(what: str, value: object, remedy: str) -> None:
    """Make sure that all processes have the same of something.

    Args:
        what: Its name, in the plural, as the error says it.
        value: This process's.
        remedy: What to do where they differ.

    Raises:
        ConfigError: They differ.
    """
    values = all_gather(value)
    other = [str(rank) for rank, theirs in enumerate(values) if theirs != values[0]]
    if other:
        raise ConfigError(Problem("", f"{what} differ between the main process and process {', '.join(other)}", remedy))


def all_reduce_mean(values: Tensor) -> Tensor:
    """Return the mean of the processes' values."""
    if not is_initialized():
        return values
    dist.all_reduce(values)
    return values / dist.get_world_size()


def all_reduce_signal_async(signal: Callable[[], int | None]) -> Callable[[], int | None]:
    """Begin to find out whether any process has been told to leave, since they must leave after the same step.

    Args:
        signal: The signal that came to this process.

    Returns:
        The answer, to be asked for when other work is done.
    """
    if not is_initialized():
        return signal
    told = torch.tensor(signal() or 0)
    work = dist.all_reduce(told, op=dist.ReduceOp.MAX, async_op=True)

    def answer() -> int | None:
        work.wait()
        return int(told) or None

    return answer


def _merged(found: Sequence[Sequence[Problem]]) -> list[Problem]:
    """Return each problem once; one that not all processes have says whose it is."""
    ranks: dict[Problem, list[str]] = {}
    for rank, problems in enumerate(found):
        for problem in problems:
            ranks.setdefault(problem, []).append(str(rank))
    return [
        problem
        if len(theirs) == len(found)
        else dataclasses.replace(problem, cause=f"{problem.cause} (in process {', '.join(theirs)})")
        for problem, theirs in ranks.items()
    ]
