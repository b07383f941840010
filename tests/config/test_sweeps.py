"""The axes of a sweep, as the command line gives them and as a config holds them."""

from __future__ import annotations

from random import Random

import pytest

from p2pkit import ConfigError
from p2pkit.config import SweepConfig
from p2pkit.config.ranges import Range, is_range, parse_range
from p2pkit.config.sweeps import axes_of, parse_axes, shared_keys


@pytest.mark.parametrize("axes", [["losses.l1.weight"], ["=1,2"], ["a="], ["a=[1"]])
def test_axes_of_the_wrong_form(axes):
    with pytest.raises(ConfigError):
        parse_axes(axes)


def test_all_wrong_axes_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_axes(["losses.l1.weight", "engine.batch=1,2", "=1"])
    assert [problem.path for problem in caught.value.problems] == ["losses.l1.weight", "=1"]


@pytest.mark.parametrize(
    ("text", "low", "high", "whole"),
    [("2..8", 2, 8, True), ("1e-5..1e-3:log", 1e-5, 1e-3, False), ("-1.5...5", -1.5, 0.5, False)],
)
def test_ranges(text, low, high, whole):
    found = parse_range(text)
    assert (found.low, found.high, found.whole, found.log) == (low, high, whole, ":log" in text)
    random = Random(0)
    drawn = [found.draw(random) for _ in range(200)]
    assert all(low <= value <= high for value in drawn)
    assert all(isinstance(value, int) for value in drawn) == whole
    assert not is_range("../data")


def test_ranges_among_the_axes_are_read():
    found = axes_of(SweepConfig(axes={"losses.l1": "1..99", "generator": ["a", "b"]}))
    assert found == {"losses.l1": Range(1, 99), "generator": ["a", "b"]}


def test_runs_share_what_makes_no_sweep():
    assert shared_keys({"sweep": {}, "executor": "local", "dataset": "shapes"}) == {"dataset": "shapes"}
