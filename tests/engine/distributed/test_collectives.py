"""What the processes of a run agree on; alone each function does nothing."""

from __future__ import annotations

import signal

import pytest
import torch
import torch.distributed as dist

from p2pkit import ConfigError, DataError, P2pkitError, Problem
from p2pkit.engine.distributed.collectives import (
    _merged,
    all_gather,
    all_reduce_mean,
    all_reduce_signal_async,
    check_equal_across_ranks,
    is_initialized,
    on_main_rank,
    process_group,
    raise_on_all_ranks,
)
from p2pkit.engine.distributed.world import World


def test_alone_nothing_is_started(monkeypatch, placed):
    placed()
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *a, **k: pytest.fail("joined a group"))
    signals = iter([None, signal.SIGTERM])
    with process_group() as here:
        assert here == World()
        assert raise_on_all_ranks(lambda: 1) == on_main_rank(lambda: 1) == 1
        check_equal_across_ranks("the data", object(), "")
        asked = all_reduce_signal_async(lambda: next(signals))
        assert (asked(), asked()) == (None, signal.SIGTERM)


def test_a_problem_is_told_once_and_says_whose_it_is():
    mine, ours = Problem("a", "is wrong", "mend it"), Problem("b", "is wrong")
    merged = _merged([[ours], [mine, ours], [ours, mine]])
    assert merged == [ours, Problem("a", "is wrong (in process 1, 2)", "mend it")]


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_in_a_group_values_are_exchanged(group):
    signals = iter([None, signal.SIGINT])
    assert is_initialized()
    assert all_gather({"a": 1}) == [{"a": 1}]
    assert torch.equal(all_reduce_mean(torch.tensor([2.0, 4.0])), torch.tensor([2.0, 4.0]))
    asked = [all_reduce_signal_async(lambda: next(signals)) for _ in range(2)]
    assert [answer() for answer in asked] == [None, signal.SIGINT]


def test_an_error_keeps_its_kind_when_all_processes_raise_it(group):
    class Own(DataError):
        """A component's own kind, which other processes may not know."""

    def fail():
        raise Own(Problem("a.png", "is damaged"))

    with pytest.raises(DataError, match=r"a\.png: is damaged") as caught:
        raise_on_all_ranks(fail)
    assert type(caught.value) is DataError
    assert raise_on_all_ranks(lambda: 5) == 5


def test_an_error_that_is_no_users_passes_as_it_is(group):
    with pytest.raises(ZeroDivisionError):
        raise_on_all_ranks(lambda: 1 / 0)


def test_what_differs_is_told_with_the_processes_that_differ(monkeypatch):
    module = "p2pkit.engine.distributed.collectives"
    monkeypatch.setattr(f"{module}.all_gather", lambda value: [value, "other", value, "another"])
    with pytest.raises(ConfigError) as caught:
        check_equal_across_ranks("the pairs", "mine", "copy them")
    (problem,) = caught.value.problems
    assert problem.cause == "the pairs differ between the main process and process 1, 3"
    assert problem.remedy == "copy them"
    monkeypatch.setattr(f"{module}.all_gather", lambda value: [value] * 4)
    check_equal_across_ranks("the pairs", "mine", "copy them")


def test_a_group_that_is_there_is_not_joined_again(group, placed, monkeypatch):
    placed(RANK=1, WORLD_SIZE=2)
    monkeypatch.setattr(dist, "init_process_group", lambda *a, **k: pytest.fail("joined a group"))
    with process_group() as here:
        assert here == World(1, 2, 0, 1)
    assert is_initialized()  # whose it is, ends it


def test_only_the_main_process_acts_where_it_falls_to_it(placed):
    placed(RANK=1, WORLD_SIZE=2)
    assert on_main_rank(lambda: pytest.fail("acted")) is None
    placed(RANK=0, WORLD_SIZE=2)
    with pytest.raises(P2pkitError, match="mine"):
        on_main_rank(lambda: (_ for _ in ()).throw(P2pkitError(Problem("", "mine"))))
