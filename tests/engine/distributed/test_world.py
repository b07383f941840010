"""Which process of a run this one is."""

from __future__ import annotations

import pytest

from p2pkit import P2pkitError
from p2pkit.engine.distributed.world import World, require_single_process, world
from p2pkit.sweep import sweep


def test_on_its_own_a_process_is_the_only_one(placed):
    placed()
    assert world() == World(0, 1, 0, 1)
    assert world().main
    assert not world().several


def test_torchrun_says_which_process_it_is(placed):
    placed(RANK=5, WORLD_SIZE=8, LOCAL_RANK=1, LOCAL_WORLD_SIZE=4)
    assert world() == World(5, 8, 1, 4)
    assert not world().main
    assert world().several


def test_half_of_what_torchrun_says_is_as_good_as_nothing(placed):
    placed(RANK=1)
    assert world() == World()
    placed(WORLD_SIZE=2)
    assert world() == World()


def test_a_launcher_that_says_nothing_of_machines_has_one_process_on_each(placed):
    placed(RANK=1, WORLD_SIZE=2)
    assert world() == World(1, 2, 0, 1)


def test_what_is_for_one_process_says_so(placed):
    placed()
    require_single_process("a benchmark")
    placed(RANK=0, WORLD_SIZE=2)
    with pytest.raises(P2pkitError, match="a benchmark is for one process, and torchrun has started 2") as caught:
        require_single_process("a benchmark")
    assert caught.value.problems[0].remedy == "start it without torchrun"


def test_a_sweep_is_for_one_process(placed):
    placed(RANK=0, WORLD_SIZE=2)
    with pytest.raises(P2pkitError, match="a sweep is for one process, and torchrun has started 2"):
        sweep("demo", ["engine.seed=0,1"])
