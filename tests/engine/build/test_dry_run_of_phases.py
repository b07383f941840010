"""The dry run of each phase of a run: what is wrong is named by what the phase has of its own."""

from __future__ import annotations

import pytest

from p2pkit import ConfigError

ONCE = {"epochs": 1}


def problems(checked, **overrides):
    with pytest.raises(ConfigError) as caught:
        checked(**overrides)
    return {problem.path: f"{problem.cause} {problem.remedy}" for problem in caught.value.problems}


def test_phases_in_order_pass(checked):
    found = checked(
        phases=[
            {**ONCE, "size": 8, "losses": {"gan": 0}, "frozen": {"generator": ["norms"], "discriminator": ["biases"]}},
        ],
        **{"dataset.params.size": 32, "generator": {"use": "unet", "params": {"depth": 3, "width": 8}}},
    )
    assert found.discriminator is not None
    assert len(found.plan.phases) == 2


def test_each_phase_is_tried_and_each_mistake_is_told_of_once(checked):
    found = problems(
        checked,
        losses={"gan": 1, "l1": 100, "feature_matching": 0},
        phases=[
            {**ONCE, "losses": {"gan": 0, "feature_matching": 10}, "frozen": {"generator": ["encodr.*"]}},
            {**ONCE, "size": 4, "losses": {"gan": 0, "l1": 0}, "frozen": {"discriminator": ["*"]}},
            {**ONCE, "size": [32, 16], "frozen": {"generator": ["*"]}},
        ],
        **{"schedule.epochs": 8},
    )
    assert set(found) == {
        "phases.0.losses.feature_matching",
        "phases.0.frozen.generator",
        "phases.1.losses",
        "phases.1.size",
        "phases.1.frozen.discriminator",
        "phases.2.size",
        "phases.2.frozen.generator",
    }
    assert "needs a discriminator" in found["phases.0.losses.feature_matching"]
    assert "no trainable parameter matches 'encodr.*'" in found["phases.0.frozen.generator"]
    assert "no term has a weight above 0" in found["phases.1.losses"]
    assert "generator at 4 x 4:" in found["phases.1.size"]
    assert "updates: {discriminator: 0}" in found["phases.1.frozen.discriminator"]
    assert "32 x 16 is larger than the run's images of 16 x 16" in found["phases.2.size"]


def test_a_mistake_of_the_run_is_not_told_again_for_its_phases(checked):
    found = problems(checked, generator="unet_256", phases=[{**ONCE, "losses": {"gan": 0}}, ONCE])
    assert set(found) == {"generator.params.depth"}


def test_an_update_takes_as_many_pairs_as_the_fastest_phase_wants(checked):
    found = problems(checked, phases=[{**ONCE, "updates": {"discriminator": 4}}])
    assert "one update takes 16 pairs, and there are 12" in found["engine.batch"]


def test_what_only_a_phase_wants_is_there(checked):
    assert checked(losses={"gan": 0, "l1": 100}, phases=[{**ONCE, "losses": {"gan": 1}}]).discriminator is not None
    assert checked(losses={"gan": 0, "l1": 100}, phases=[ONCE]).discriminator is None
