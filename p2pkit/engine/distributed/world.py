"""Which process of a run this one is, as torchrun says; on its own a process is the only one."""

from __future__ import annotations

import os
from dataclasses import dataclass

from p2pkit.errors import P2pkitError, Problem


@dataclass(frozen=True, slots=True)
class World:
    """This process among those of a run.

    Args:
        rank: Its number, from 0; the main process has 0.
        count: How many there are, on all machines.
        local_rank: Its number on this machine.
        local_count: How many there are on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files, tells plugins and speaks to the user."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1


def world() -> World:
    """Return this process's place, which torchrun writes into the environment of each."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return World()
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank, local_count = (int(os.environ.get(name, 0)) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    return World(rank, count, local_rank, max(local_count, 1))


def restarts() -> int:
    """Return how often torchrun has started all processes again, after one has failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def require_single_process(what: str) -> None:
    """Make sure that torchrun has not started something that is for one process.

    Raises:
        P2pkitError: It has.
    """
    here = world()
    if here.several:
        cause = f"{what} is for one process, and torchrun has started {here.count}"
        raise P2pkitError(Problem("", cause, "start it without torchrun"))
