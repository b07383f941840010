"""Processes of one start find each other in a store that is full of what earlier ones wrote."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist

from p2pkit.engine.distributed.meeting import meet
from p2pkit.engine.distributed.world import World


def start(store, count=3):
    """Let so many meet; returns the name that each of them has."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda rank: meet(store, World(rank, count), 10), reversed(range(count))))


def test_each_start_has_a_name_of_its_own():
    store = dist.HashStore()
    names = [start(store) for _ in range(3)]
    assert [len(set(each)) for each in names] == [1, 1, 1]
    assert len({each[0] for each in names}) == 3
    assert len(set(start(store, 2))) == 1  # on fewer processes than before


def test_who_has_asked_and_is_gone_is_not_taken_for_one_that_has_come():
    store = dist.HashStore()
    store.set("asks 1", "of an earlier start")
    with pytest.raises(dist.DistStoreError, match="processes 1 do not come"):
        meet(store, World(0, 2), 0.1)
    assert len(set(start(store, 2))) == 1
