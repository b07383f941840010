"""What a sweep's runs are called where space is short."""

from __future__ import annotations

import pytest

from p2pkit.config import SweepConfig
from p2pkit.sweep.points import Naming, spell_out


def titles(**wanted):
    config = SweepConfig.model_validate(wanted)
    return [Naming("s", config).title(child) for (child,) in spell_out(config)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"axes": {"losses.gan.weight": [0], "losses.l1.weight": [1, 100]}}, ["gan 0 l1 1", "gan 0 l1 100"]),
        ({"axes": {"losses.l1.weight": [1]}, "seeds": 2}, ["l1 1 seed 0", "l1 1 seed 1"]),
        ({"axes": {"generator": ["attention_unet", "unets:wide"]}}, ["attention_unet", "unets:wide"]),
        ({"axes": {"generator.params.depth": [4, 5]}}, ["depth 4", "depth 5"]),
        (
            {"points": {"plain": {"losses.gan": 0}}, "axes": {"engine.batch": [1, 4]}},
            ["plain engine.batch 1", "plain engine.batch 4"],
        ),
        ({"seeds": 2}, ["seed 0", "seed 1"]),
    ],
)
def test_titles_are_what_differs(wanted, expected):
    assert titles(**wanted) == expected


def test_seeds_of_a_point_have_one_place():
    config = SweepConfig.model_validate({"axes": {"losses.l1.weight": [1, 10]}, "seeds": 2})
    children = [child for unit in spell_out(config) for child in unit]
    tags = [Naming("s", config).tags(child, children) for child in children]
    assert [each["p2pkit.place"] for each in tags] == ["0", "0", "1", "1"]
    assert tags[0]["p2pkit.point"] == "l1.weight=1"
