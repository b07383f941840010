"""Where a run stands in its phases, and how much of it is left: held against a run that is walked step by step."""

from __future__ import annotations

import pytest

from p2pkit.config import load_config, resolve
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.training.run_length import batches_per_step, count_remaining, next_whole, phase_at

TWICE, THRICE = {"updates": {"discriminator": 2}}, {"updates": {"discriminator": 3}}
PHASES = {
    "none": [],
    "one": [{"N": 2}],
    "whole": [{"N": 3}, {"N": 6, **TWICE}],
    "paces": [{"N": 2, **THRICE}, {"N": 3}, {"N": 1, **TWICE}],
}


@pytest.fixture
def plan(quiet, tiny):
    def make(unit, phases, **overrides):
        written = [{unit if key == "N" else key: value for key, value in phase.items()} for phase in phases]
        return resolve(load_config({**tiny, "schedule": {unit: 9}, "phases": written}, overrides), quiet)

    return make


def walk(plan, batches):
    """Yield where a run is before each of its steps, and at its end."""
    at, schedule = Progress(), plan.config.schedule
    while (at.epoch if schedule.unit == "epochs" else at.step) < schedule.length:
        yield at
        size = batches_per_step(plan, phase_at(plan, at))
        at = next_whole(plan, Progress(at.step + 1, at.epoch, at.batches + size), batches)
    yield at


@pytest.mark.parametrize("phases", PHASES.values(), ids=PHASES)
@pytest.mark.parametrize("unit", ["epochs", "steps"])
def test_from_anywhere_as_much_is_left_as_is_walked(plan, unit, phases):
    run = plan(unit, phases)
    assert not run.problems
    *places, end = walk(run, 7)
    for at in places:
        steps, epochs = count_remaining(run, at, 7)
        assert steps == end.step, at
        if unit == "epochs":
            assert epochs == 9
        else:
            assert epochs >= at.epoch + 1
        assert at.batches + batches_per_step(run, phase_at(run, at)) <= 7
    assert count_remaining(run, end, 7)[0] == end.step


@pytest.mark.parametrize("unit", ["epochs", "steps"])
def test_the_phases_are_as_long_as_they_say(plan, unit):
    run = plan(unit, PHASES["paces"])
    *places, _ = walk(run, 12)
    numbers = [phase_at(run, at).number for at in places]
    if unit == "steps":
        assert numbers == [1, 1, 2, 2, 2, 3, 4, 4, 4]
    else:  # epochs of 4 and 6 steps where a step takes 3 or 2 batches
        assert [numbers.count(number) for number in (1, 2, 3, 4)] == [2 * 4, 3 * 12, 6, 3 * 12]
    assert phase_at(run, Progress(10**6, 10**6, 0)).number == 4


def test_epochs_are_counted_in_steps_of_accumulated_batches(plan):
    run = plan("steps", [], **{"engine.accumulate": 3})
    assert count_remaining(run, Progress(), 8) == (9, 5)  # two steps an epoch
    assert count_remaining(run, Progress(5, 2, 3), 8) == (9, 5)
