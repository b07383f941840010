"""The phases of a run: what each says, what it leaves unsaid, and every mistake in them at once."""

from __future__ import annotations

import pytest

from p2pkit import ImageSpec, PairSpec
from p2pkit.config import flat_config, load_config, resolve
from p2pkit.config.phases import UpdatesConfig

IMAGES = PairSpec(ImageSpec(3), ImageSpec(3), 64, 128)


@pytest.fixture
def plan(registry, tiny):
    return lambda config=tiny, **overrides: resolve(load_config(config, overrides), registry)


def test_a_run_without_phases_is_a_run_of_one(plan):
    (phase,) = plan().phases
    assert (phase.number, phase.count, phase.start, phase.end) == (1, 1, 0, 2)
    assert {name: part.weight for name, part in phase.terms.items()} == {"gan": 1, "l1": 100}
    assert phase.updates == UpdatesConfig()
    assert phase.size_of(IMAGES) == (64, 128)
    assert (phase.rate("generator"), phase.frozen["generator"]) == (1, [])
    assert plan().resolved()["phases"] == []


def test_a_phase_says_what_differs_and_the_run_the_rest(plan):
    found = plan(
        updates={"discriminator": 2},
        frozen={"generator": ["up.*"]},
        schedule={"epochs": 20},
        losses={"gan": 1, "l1": 100, "ssim": 0},
        phases=[
            {"epochs": 3, "name": "warm", "losses": {"gan": None, "ssim": 5}, "size": 32},
            {"epochs": 4, "updates": {"generator": 3}, "frozen": {"generator": []}, "size": [16, 64]},
        ],
    )
    assert found.problems == ()
    warm, second, rest = found.phases
    weights = [{name: part.weight for name, part in phase.terms.items()} for phase in found.phases]
    assert weights == [{"gan": 0, "l1": 100, "ssim": 5}, *[{"gan": 1, "l1": 100, "ssim": 0}] * 2]
    assert [(phase.start, phase.end) for phase in found.phases] == [(0, 3), (3, 7), (7, 20)]
    assert [str(phase) for phase in found.phases] == ["phase 1/3 (warm)", "phase 2/3", "phase 3/3"]
    assert [phase.size_of(IMAGES) for phase in found.phases] == [(32, 64), (16, 64), (64, 128)]
    assert (warm.updates.groups, second.updates.groups, rest.updates.groups) == (2, 1, 2)
    assert [second.updates.due(step) for step in range(4)] == [True, False, False, True]
    assert [phase.frozen["generator"] for phase in found.phases] == [["up.*"], [], ["up.*"]]
    assert second.describe(IMAGES) == (
        "1 x gan + 100 x l1, images of 16 x 64, 1 updates of the discriminator for 3 of the generator"
    )


def test_learning_rates_are_factors_and_losses_follow_the_generator(plan):
    rates = [{"epochs": 1, "optimizers": {"generator": {"lr": 1e-4}, "discriminator": {"lr": 4e-4}}}]
    first, rest = plan(phases=rates).phases
    assert [first.rate(player) for player in ("generator", "discriminator", "losses.seen")] == [0.5, 2, 0.5]
    assert rest.rate("losses.seen") == 1
    first, _ = plan(phases=rates, **{"optimizers.losses": {"lr": 1e-3}}).phases
    assert first.rate("losses.seen") == 1


def test_what_is_resolved_is_read_again(plan):
    phases = [{"epochs": 1, "losses": {"gan": 0, "l1": {"every": 2}}, "size": [8, 16], "updates": {"discriminator": 2}}]
    found = plan(phases=phases)
    again = plan(found.resolved())
    assert again.problems == ()
    assert again.phases[0].updates.discriminator == 2
    assert (again.phases[0].terms["gan"].weight, again.phases[0].terms["l1"].every) == (0, 2)
    flat = flat_config(found.resolved())
    assert (flat["phases.0.epochs"], flat["phases.0.losses.gan.weight"]) == (1, 0)


@pytest.mark.parametrize("key", ["phases.0.losses.l1", "phases.0.losses.l1.weight"])
def test_overrides_reach_into_a_phase(plan, key):
    config = plan(phases=[{"epochs": 1, "losses": {"l1": {"weight": 3, "every": 2}}}]).resolved()
    found = plan(config, **{key: 7, "phases.0.epochs": 2})
    assert found.problems == ()
    assert [phase.end for phase in found.phases] == [2]
    assert found.phases[0].terms["l1"].weight == 7


def test_every_mistake_of_every_phase_is_told_at_once(plan):
    found = plan(
        losses={"gan": 1, "l1": 100},
        phases=[
            {"steps": 5, "losses": {"l11": 3}, "sise": 3},
            {"losses": {"l1": -1}, "updates": {"generator": 2, "discriminator": 2}},
            {"epochs": 2, "size": 0},
            {"epochs": 1, "optimizers": {"generator": {"lr": 0, "beta": 1}}},
        ],
    )
    text = {problem.path: f"{problem.cause} {problem.remedy}" for problem in found.problems}
    assert set(text) == {
        "phases.0.steps",
        "phases.0.losses.l11",
        "phases.0.sise",
        "phases.1",
        "phases.1.losses.l1.weight",
        "phases.1.updates",
        "phases.2.size",
        "phases.3.epochs",
        "phases.3.optimizers.generator.lr",
        "phases.3.optimizers.generator.beta",
    }
    assert "did you mean l1?" in text["phases.0.losses.l11"]
    assert "keys: name, epochs" in text["phases.0.sise"]
    assert "the run counts in epochs" in text["phases.0.steps"]
    assert "one of the two must be 1" in text["phases.1.updates"]
    assert "take 3 epochs, and the run has 2" in text["phases.3.epochs"]


def test_a_term_of_a_phase_alone_must_be_right_too(plan):
    wrong = {"gan": 1, "l1": 100, "ssim": {"weight": 0, "params": {"windoww": 3}}}
    assert plan(losses=wrong).problems == ()
    (problem,) = plan(losses=wrong, phases=[{"epochs": 1, "losses": {"ssim": 1}}]).problems
    assert problem.path == "losses.ssim.params.windoww"
