from __future__ import annotations

import pytest

from p2pkit.compare.spending import mean_costs, with_efficiency

RATE, SHARE = "images/s per process", "efficiency"


def found(*points):
    spent = [({"processes": count, **own}, {} if rate is None else {RATE: rate}) for count, own, rate in points]
    return [costs.get(SHARE) for costs in with_efficiency(spent)]


def test_costs_are_means_of_the_runs_that_say_them():
    assert mean_costs([{"a": 1.0}, {"a": 3.0, "b": 5.0}, {}]) == {"a": 2, "b": 5}


def test_each_setting_is_measured_by_its_own_fewest():
    small, large = {"generator": "small"}, {"generator": "large"}
    assert found((2, small, 8.0), (1, small, 10.0), (2, large, 1.0), (4, large, 0.5)) == pytest.approx([0.8, 1, 1, 0.5])


def test_a_batch_may_be_spread_over_the_processes():
    """The one with the same batch of a process comes first; where there is none, that with another."""
    assert found((1, {"engine.batch": 8}, 10.0), (2, {"engine.batch": 4}, 9.0)) == pytest.approx([1, 0.9])
    both = (1, {"engine.batch": 8}, 10.0), (1, {"engine.batch": 4}, 6.0), (2, {"engine.batch": 4}, 3.0)
    assert found(*both) == pytest.approx([1, 1, 0.5])


def test_what_is_alone_or_without_a_speed_has_no_share():
    assert found((1, {}, 10.0), (2, {}, None)) == [None, None]
    assert found((1, {}, 10.0), (1, {"losses.l1.weight": 1}, 8.0)) == [None, None]
