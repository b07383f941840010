"""Processes that were started together find each other, apart from those that torchrun has started before them.

torchrun keeps one store for all its starts, and what earlier processes wrote is still there. Which start this is,
processes can't know by themselves: on each machine torchrun counts by itself.
"""

from __future__ import annotations

import time
import uuid

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from p2pkit.engine.distributed.world import World

_POLL = 0.02


def meet(store: Store, here: World, seconds: float) -> str:
    """Wait for the other processes of this start.

    The main process answers whoever asks, also in the name of one that is gone, until all the others have said that
    they know its answer.

    Args:
        store: What all of them see.
        here: This process among them.
        seconds: How long to wait.

    Returns:
        A name for this start, the same in all processes, that no other start has.

    Raises:
        DistStoreError: Others don't come.
    """
    if not here.main:
        token = uuid.uuid4().hex
        store.set(f"asks {here.rank}", token)
        name = store.get(f"answer {token}").decode()
        store.set(f"{name} {here.rank}", "")
        return name
    name, deadline = uuid.uuid4().hex, time.monotonic() + seconds
    missing = set(range(1, here.count))
    while missing:
        for rank in missing:
            if store.check([f"asks {rank}"]):
                store.set(f"answer {store.get(f'asks {rank}').decode()}", name)
        missing = {rank for rank in missing if not store.check([f"{name} {rank}"])}
        if missing and time.monotonic() > deadline:
            raise dist.DistStoreError(f"processes {', '.join(map(str, sorted(missing)))} do not come")
        time.sleep(_POLL if missing else 0)
    return name
