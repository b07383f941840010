"""Alarms: they ring for what is wrong, once, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from p2pkit import Samples, Verdict, View
from p2pkit.config.model import HealthConfig
from p2pkit.engine.step.scalars import verdict_scalars
from p2pkit.engine.training import gan_health
from p2pkit.engine.training.gan_health import Health, sample_diversity
from p2pkit.progress import Silent


@pytest.fixture
def notes():
    return []


@pytest.fixture
def watch(notes):
    return lambda **settings: Health(HealthConfig(**settings), notes.append)


def accuracy(real, fake):
    return {"train/accuracy/real": real, "train/accuracy/fake": fake}


def samples(fakes, targets):
    pictures = [np.concatenate([target, fake, target], 1) for fake, target in zip(fakes, targets, strict=True)]
    return Samples(tuple(map(str, range(len(pictures)))), tuple(pictures), Path("sheet.png"))


@pytest.fixture
def pictures():
    return list(np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), dtype=np.uint8))


def test_a_discriminator_that_wins_is_told_once_an_occasion(watch, notes):
    watched = watch(accuracy=0.9)
    story = [(0, 1.0), (100, 1.0), (200, 1.0), (300, 1.0), (320, 0.5), (400, 0.99), (800, 0.95)]
    rings = [watched.read(step, accuracy(right, 1.0))["health/discriminator_wins"] for step, right in story]
    assert rings == [0, 0, 1, 1, 1, 1, 1]  # one bad reading does not end it
    assert len(notes) == 1
    assert notes[0].startswith("step 200: the discriminator wins: it is right about 93.2% of real and 93.2% of fake")
    assert "optimizers.discriminator.lr" in notes[0]
    assert watched.read(1200, accuracy(0.6, 0.9)) == {"health/discriminator_wins": 0}
    watched.read(1300, accuracy(1, 1))
    watched.read(1500, accuracy(1, 1))
    assert len(notes) == 2


def test_both_sides_count_and_short_streaks_do_not(watch, notes):
    watched = watch(accuracy=0.9)
    for step in range(0, 2000, 100):
        watched.read(step, accuracy(1.0, 0.5))  # it calls everything real
        watched.read(step + 50, accuracy(1.0, 1.0))
    assert notes == []
    assert watched.read(3000, {"train/generator/l1": 1.0}) == {}  # no adversary, or one without a threshold
    assert watch(accuracy=None).read(0, accuracy(1, 1)) == {}


def test_readings_count_by_the_steps_they_stand_for(watch):
    often, seldom = watch(), watch()
    for step in range(1, 401):
        often.read(step, accuracy(0.9, 0.8))
    seldom.read(400, accuracy(0.9, 0.8))
    assert often._right == pytest.approx(seldom._right)


def test_variety_is_relative_to_the_targets(pictures):
    assert sample_diversity(samples(pictures, pictures)) == 1
    assert sample_diversity(samples([pictures[0]] * 4, pictures)) == 0
    halved = [picture // 2 for picture in pictures]
    assert sample_diversity(samples(halved, pictures)) == pytest.approx(0.5, abs=0.01)
    assert sample_diversity(samples(pictures, [pictures[0]] * 4)) is None
    assert sample_diversity(samples(pictures[:1], pictures[:1])) is None


def test_collapse_is_told_once_an_occasion(watch, notes, pictures):
    watched = watch()
    alike, varied = samples([pictures[0]] * 4, pictures), samples(pictures, pictures)
    assert watched.evaluated(100, "val", alike) == {"val/variety": 0}  # an untrained generator has not collapsed
    assert watched.evaluated(300, "val", varied) == {"val/variety": 1, "health/collapsed": 0}
    assert watched.evaluated(320, "val", alike) == {"val/variety": 0, "health/collapsed": 1}
    watched.evaluated(330, "val", alike)
    assert len(notes) == 1
    watched.evaluated(340, "val", varied)
    watched.evaluated(350, "val", alike)
    assert [note.partition(":")[0] for note in notes] == ["step 320", "step 350"]


def test_fakes_that_become_varied_have_not_collapsed(watch, notes, pictures):
    watched = watch(variety=0.5)
    for step, share in enumerate([0.02, 0.1, 0.2, 0.3, 0.4]):
        watched.evaluated(300 + step, "val", samples([(p * share).astype(np.uint8) for p in pictures], pictures))
    assert notes == []
    watched.evaluated(310, "val", samples([(p * 0.41).astype(np.uint8) for p in pictures], pictures))
    assert len(notes) == 1


def test_accuracy_is_the_share_of_verdicts_on_the_right_side():
    logits = {"target": torch.tensor([[0.4, 0.6, 0.9, 0.1]]), "fake": torch.tensor([[0.2, 0.3, 0.1, 0.9]])}
    view = View(torch.zeros(1), logits["target"], logits["fake"], lambda source, image: Verdict((image,)))
    view.on_target, view.on_fake  # noqa: B018  asked by a term
    assert "train/accuracy/real" not in verdict_scalars(view, None)
    found = verdict_scalars(view, 0.5)
    assert found["train/accuracy/real"] == 0.5
    assert found["train/accuracy/fake"] == 0.75


class Noting(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_a_run_whose_generator_stands_still(work, monkeypatch):
    """The discriminator wins, and fakes stay grey: both alarms ring, and trackers hear of them."""
    monkeypatch.setattr(gan_health, "_SPAN", 10.0)
    monkeypatch.setattr(gan_health, "_LEAST", 20)
    stuck = {"optimizers.generator.lr": 1e-12, "optimizers.discriminator.lr": 5e-3, "schedule.epochs": 25}
    run = work(**stuck, **{"generator.params.dropout": 0.0})
    run.reporter = Noting()
    heard = {}
    monkeypatch.setattr(gan_health.Alarm, "hear", _spied(gan_health.Alarm.hear, heard))
    run.train()
    assert {note.partition(": ")[2].partition(":")[0] for note in run.reporter.notes} == {
        "fakes of different sources are alike",
        "the discriminator wins",
    }
    assert len(run.reporter.notes) == 2
    assert heard == {"health/discriminator_wins": 1, "health/collapsed": 1}


def _spied(original, heard):
    def hear(self, *args, **kwargs):
        found = original(self, *args, **kwargs)
        heard.update(found)
        return found

    return hear
