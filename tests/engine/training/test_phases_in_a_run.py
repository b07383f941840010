"""Phases in a run: one run that goes on from anywhere to the bit, and what changes in each stretch of it."""

from __future__ import annotations

import pytest
import torch

from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent

RICH = {
    "dataset.params.size": 32,
    "engine.ema": 0.9,
    "augment": ["flip"],
    "generator": {"use": "unet", "params": {"depth": 3, "width": 8}},
    "losses": {"gan": 1, "l1": 100, "ssim": 0},
}
PHASES = [
    {"name": "warm", "size": 16, "losses": {"gan": 0, "l1": 10}, "optimizers": {"generator": {"lr": 1e-3}}},
    {"updates": {"discriminator": 2}, "frozen": {"generator": ["up.*"], "discriminator": ["biases"]}},
    {"updates": {"generator": 2}, "losses": {"ssim": 5}},
]


def phases(unit, *lengths):
    return [{unit: length, **phase} for length, phase in zip(lengths, PHASES, strict=True)]


class Heard:
    """A tracker that keeps what it hears."""

    def __init__(self):
        self.scalars = {}

    def __call__(self, step, scalars):
        own = {name: value for name, value in scalars.items() if not name.startswith("speed/")}
        self.scalars[step] = {**self.scalars.get(step, {}), **own}


@pytest.fixture
def train(checked, quiet, tmp_path, monkeypatch):
    """Train in a folder of a name, and keep what trackers hear: `train("run", on_step, resume, **overrides)`."""

    def run(name, on_step=None, resume=None, **overrides):
        heard, folder = Heard(), tmp_path / name
        folder.mkdir(exist_ok=True)
        monkeypatch.setattr("p2pkit.plugins.events.Events.scalars", lambda events, step, found: heard(step, found))
        session = RunSession(checked(**{**RICH, **overrides}), quiet.plugins, folder, Silent())
        return session.train(resume, on_step), heard.scalars

    return run


@pytest.mark.parametrize(
    ("unit", "lengths", "whole", "stops"), [("epochs", (1, 2, 1), 5, (2, 3, 7)), ("steps", (2, 2, 3), 9, (3, 4))]
)
def test_a_run_goes_on_to_the_bit_from_any_of_its_phases(
    train, signalled, unit, lengths, whole, stops, weights, assert_same
):
    """Within a phase, and at the border of two."""
    run = {"phases": phases(unit, *lengths), "schedule": {"epochs": None, unit: whole}, "engine.log_every": 2}
    wanted, heard = train("whole", **run)
    for stop in stops:
        first, begun = train(f"part-{stop}", signalled(stop - 1), **run)
        assert first.progress.step == stop
        second, gone_on = train(f"part-{stop}", None, first.checkpoint, **run)
        assert second.progress == wanted.progress
        assert_same(weights(second.checkpoint), weights(wanted.checkpoint))
        assert second.report.metrics == wanted.report.metrics
        assert {**begun, **gone_on}.keys() == heard.keys()
        for step, scalars in heard.items():
            assert {**begun.get(step, {}), **gone_on.get(step, {})} == pytest.approx(scalars, rel=1e-6), step


def test_a_run_left_where_a_batch_fills_no_step_goes_on_to_the_bit(train, signalled, weights, assert_same):
    """The batch that an epoch of three has left over for steps of two is augmented, and so draws random numbers."""
    run = {"engine.accumulate": 2, "schedule.epochs": 3}
    wanted, _ = train("whole", **run)
    first, _ = train("part", signalled(0), **run)
    second, _ = train("part", None, first.checkpoint, **run)
    assert_same(weights(second.checkpoint), weights(wanted.checkpoint))


def test_phases_that_change_nothing_are_the_run_without_them(train, weights, assert_same):
    plain, heard = train("plain", **{"schedule.epochs": 3})
    phased, also_heard = train(
        "phased", phases=[{"epochs": 1}, {"epochs": 1, "losses": {"l1": 100}}], **{"schedule.epochs": 3}
    )
    assert_same(weights(plain.checkpoint), weights(phased.checkpoint))
    assert plain.report.metrics == phased.report.metrics
    numbers = {step: scalars.pop("train/phase") for step, scalars in also_heard.items() if "train/phase" in scalars}
    assert heard == also_heard
    assert list(numbers.values()) == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_each_phase_does_what_it_says(train):
    seen = []

    def look(loop):
        players = loop.assembly.players
        generator = dict(players.generator.network.named_parameters())
        judged = loop.assembly.step.players.discriminator is not None
        frozen = sorted({name.partition(".")[0] for name, value in generator.items() if not value.requires_grad})
        weights = {term.name: term.part.weight for term in loop.assembly.step.objective.terms}
        rate = players.generator.optimizer.param_groups[0]["lr"]
        seen.append((loop.assembly.phase.number, judged, frozen, weights["ssim"], loop.loader.size, round(rate, 7)))

    own = {"schedule.epochs": 4, "schedule.shape": "constant", "optimizers.generator.lr": 2e-4}
    _, heard = train("run", look, phases=phases("epochs", 1, 1, 1), **own)
    expected = [
        *[(1, False, [], 0, (16, 16), 1e-3)] * 3,
        (2, True, ["up"], 0, None, 2e-4),  # two batches a step: an epoch is one
        *[(3, True, [], 5, None, 2e-4)] * 3,
        *[(4, True, [], 0, None, 2e-4)] * 3,
    ]
    assert seen == expected
    assert "train/discriminator/gan" not in heard[1]
    assert ("train/generator/ssim" in heard[5]) is True
    assert heard[1]["train/generator/l1_weighted"] == pytest.approx(10 * heard[1]["train/generator/l1"])
    assert heard[8]["train/generator/l1_weighted"] == pytest.approx(100 * heard[8]["train/generator/l1"])


def test_what_is_frozen_stays_and_learns_again(train):
    kept = []

    def look(loop):
        network = loop.assembly.players.generator.network
        kept.append({name: value.detach().clone() for name, value in network.named_parameters()})

    train("run", look, phases=[{"epochs": 1, "frozen": {"generator": ["up.*"]}}])
    for name, value in kept[0].items():
        assert torch.equal(value, kept[3][name]) == name.startswith("up."), name
    assert all(not torch.equal(kept[3][name], kept[5][name]) for name in kept[0] if name.endswith("weight"))


def test_the_config_of_a_checkpoint_holds_the_phases(train):
    outcome, _ = train("run", phases=phases("epochs", 1, 1, 1), **{"schedule.epochs": 3})
    assert [phase["epochs"] for phase in read_config(outcome.checkpoint)["phases"]] == [1, 1, 1]
    assert outcome.reason == f"all {outcome.progress.step} steps are done"


def test_a_run_that_went_astray_goes_back_into_the_phase_before(train):
    def spoil(loop):
        if loop.status.progress.step == 4 and not loop.status.state.rollbacks:
            loop.latest = loop.assembly.phase.number
            with torch.no_grad():
                next(loop.assembly.players.generator.network.parameters()).fill_(float("nan"))

    run = {"engine.on_nan": "rollback", "checkpoint.every": 1, "phases": phases("steps", 3, 3, 1)}
    outcome, _ = train("run", spoil, **run, schedule={"epochs": None, "steps": 8})
    assert outcome.progress.step == 8
