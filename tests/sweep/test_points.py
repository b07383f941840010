"""What a sweep is made of: named points, values of keys, seeds."""

from __future__ import annotations

import pytest

from p2pkit import ConfigError
from p2pkit.config import SweepConfig
from p2pkit.sweep.points import parse_axes, spell_out


def test_a_grid_is_every_combination():
    axes = parse_axes(["losses.l1.weight=1,10", "generator=unet_256,{use: unet, params: {depth: 4}}"])
    grid = spell_out(SweepConfig(axes=axes, seeds=2))
    assert len(grid) == 8
    assert [child.seed for child in grid[:2]] == [0, 1]
    assert grid[0].label == "l1.weight=1 generator=unet_256"
    assert grid[-1].label == "l1.weight=10 generator=unet(depth=4)"
    assert grid[-1].settings == {"losses.l1.weight": 10, "generator": {"use": "unet", "params": {"depth": 4}}}
    assert len({child.name for child in grid}) == 8


def test_named_points_stand_for_several_keys_and_cross_with_axes():
    points = {"L1": {"losses.gan": 0}, "both": {"losses": {"gan": 1}, "engine.batch": 2}}
    assert [(child.label, child.settings) for child in spell_out(SweepConfig(points=points))] == list(points.items())
    crossed = spell_out(SweepConfig(points=points, axes={"losses.l1.weight": [1, 10]}))
    assert [child.label for child in crossed] == [
        "L1 l1.weight=1",
        "L1 l1.weight=10",
        "both l1.weight=1",
        "both l1.weight=10",
    ]
    assert crossed[-1].settings == {**points["both"], "losses.l1.weight": 10}


def test_one_point_with_several_seeds():
    assert [child.name for child in spell_out(SweepConfig(seeds=2))] == ["seed=0", "seed=1"]


@pytest.mark.parametrize("axes", [["losses.l1.weight"], ["=1,2"], ["a="], ["a=[1"]])
def test_axes_of_the_wrong_form(axes):
    with pytest.raises(ConfigError):
        parse_axes(axes)


def test_all_wrong_axes_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_axes(["losses.l1.weight", "engine.batch=1,2", "=1"])
    assert [problem.path for problem in caught.value.problems] == ["losses.l1.weight", "=1"]


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ({}, ["sweep"]),
        ({"axes": {"engine.seed": [1, 2], "engine.batch": []}}, ["sweep.axes.engine.seed", "sweep.axes.engine.batch"]),
        ({"axes": {"losses.l1": [1, 1]}}, ["l1=1_seed=0"]),
        ({"points": {"a": {"tracking.name": "x"}}}, ["sweep.points.a.tracking.name"]),
    ],
)
def test_what_makes_no_sweep(written, paths):
    with pytest.raises(ConfigError) as caught:
        spell_out(SweepConfig.model_validate(written))
    assert [problem.path for problem in caught.value.problems] == paths
