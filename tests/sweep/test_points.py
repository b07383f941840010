"""What a sweep is made of: named points, values of keys, seeds."""

from __future__ import annotations

import pytest

from p2pkit import ConfigError
from p2pkit.config import SweepConfig
from p2pkit.config.sweeps import parse_axes
from p2pkit.sweep.points import corners, spell_out


def spelt(wanted):
    return [child for unit in spell_out(wanted) for child in unit]


def test_a_grid_is_every_combination():
    axes = parse_axes(["losses.l1.weight=1,10", "generator=unet_256,{use: unet, params: {depth: 4}}"])
    grid = spelt(SweepConfig(axes=axes, seeds=2))
    assert len(grid) == 8
    assert [child.seed for child in grid[:2]] == [0, 1]
    assert grid[0].label == "l1.weight=1 generator=unet_256"
    assert grid[-1].label == "l1.weight=10 generator=unet(depth=4)"
    assert grid[-1].settings == {"losses.l1.weight": 10, "generator": {"use": "unet", "params": {"depth": 4}}}
    assert len({child.name for child in grid}) == 8


def test_named_points_stand_for_several_keys_and_cross_with_axes():
    points = {"L1": {"losses.gan": 0}, "both": {"losses": {"gan": 1}, "engine.batch": 2}}
    assert [(child.label, child.settings) for child in spelt(SweepConfig(points=points))] == list(points.items())
    crossed = spelt(SweepConfig(points=points, axes={"losses.l1.weight": [1, 10]}))
    assert [child.label for child in crossed] == [
        "L1 l1.weight=1",
        "L1 l1.weight=10",
        "both l1.weight=1",
        "both l1.weight=10",
    ]
    assert crossed[-1].settings == {**points["both"], "losses.l1.weight": 10}


def test_labels_are_in_the_words_of_the_config():
    grid = spelt(SweepConfig(axes={"generator.params.skips": [True, False], "losses.l1": [None]}))
    assert [child.label for child in grid] == ["skips=true l1=-", "skips=false l1=-"]


def test_one_point_with_several_seeds():
    assert [child.name for child in spelt(SweepConfig(seeds=2))] == ["seed=0", "seed=1"]


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ({}, ["sweep"]),
        ({"axes": {"engine.seed": [1, 2], "engine.batch": []}}, ["sweep.axes.engine.seed", "sweep.axes.engine.batch"]),
        ({"axes": {"losses.l1": [1, 1]}}, ["l1=1_seed=0"]),
        ({"points": {"a": {"tracking.name": "x"}}}, ["sweep.points.a.tracking.name"]),
        (
            {"axes": {"a": "1..2", "b": "2..1", "c": "0..1:log", "d": "x"}, "trials": 3},
            ["sweep.axes.a", "sweep.axes.b", "sweep.axes.c", "sweep.axes.d", "sweep.trials"],
        ),
        ({"search": "random"}, ["sweep.trials", "sweep.axes"]),
        ({"axes": {"losses.l1": [1, 2]}, "search": "random", "trials": 3}, ["sweep.trials"]),
    ],
)
def test_what_makes_no_sweep(written, paths):
    with pytest.raises(ConfigError) as caught:
        spell_out(SweepConfig.model_validate(written))
    assert [problem.path for problem in caught.value.problems] == paths


def test_random_points_are_different_within_range_and_the_same_for_the_same_seed():
    axes = parse_axes(["losses.l1.weight=1..300:log", "generator.params.depth=3..6", "generator=unet_tiny,unet_256"])
    wanted = {"axes": axes, "search": "random", "trials": 20, "seeds": 2}
    drawn = spelt(SweepConfig(**wanted))
    assert (len(drawn), len({child.label for child in drawn})) == (40, 20)
    weights = [child.settings["losses.l1.weight"] for child in drawn]
    assert all(1 <= weight <= 300 for weight in weights)
    assert 0.2 < sum(weight < 300**0.5 for weight in weights) / 40 < 0.8  # a logarithmic range has its middle there
    assert {child.settings["generator.params.depth"] for child in drawn} <= {3, 4, 5, 6}
    assert drawn == spelt(SweepConfig(**wanted))
    assert drawn != spelt(SweepConfig(**wanted, draw=1))


def test_named_points_are_drawn_too():
    points = {"a": {"engine.batch": 1}, "b": {"engine.batch": 2}}
    drawn = spelt(SweepConfig(points=points, axes={"losses.l1": "1..99"}, search="random", trials=8))
    assert {child.settings["engine.batch"] for child in drawn} == {1, 2}


def test_optunas_points_are_open_and_the_corners_stand_for_them():
    wanted = SweepConfig(axes={"losses.l1": "1..99", "generator": ["a", "b"]}, search="optuna", trials=5)
    assert spell_out(wanted) == [()] * 5
    assert [label for label, _ in corners(wanted)] == [
        "l1=1 generator=a",
        "l1=99 generator=a",
        "l1=1 generator=b",
    ]


def test_a_grid_is_counted_before_it_is_run_through():
    wanted = SweepConfig(axes={f"losses.l{i}.weight": list(range(10)) for i in range(60)})
    with pytest.raises(ConfigError, match="a grid of 1000000"):
        spell_out(wanted)
