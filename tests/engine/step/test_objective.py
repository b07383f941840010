"""What each player minimises."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from p2pkit import Verdict, View
from p2pkit.engine.step.objective import Objective


@pytest.fixture
def objective(assembled):
    return lambda **overrides: assembled(**overrides).step.objective


@pytest.fixture
def view(device):
    """A target of 0.5, a fake of 0.25, and logits that are the image's mean."""
    images = [torch.full((2, 3, 16, 16), value, device=device) for value in (0.0, 0.5, 0.25)]
    return View(*images, lambda source, image: Verdict((image.mean((1, 2, 3), keepdim=True),)))


def test_a_total_is_the_weighted_sum_of_raw_values(objective, view):
    total, measured = objective().total("generator", view, 0)
    gan, l1 = 0.75**2, 0.25  # lsgan wants 1 of a fake that is taken for 0.25
    assert {name: value.item() for name, value in measured.items()} == pytest.approx(
        {"train/generator/gan": gan, "train/generator/l1": l1, "train/generator/total": gan + 100 * l1}
    )
    assert total.item() == pytest.approx(gan + 100 * l1)


def test_the_discriminators_total_has_a_factor_of_its_own(objective, view):
    judged = 0.5**2 + 0.25**2
    for factor in (0.5, 2.0):
        total, measured = objective(**{"engine.discriminator_factor": factor}).total("discriminator", view, 0)
        assert list(measured) == ["train/discriminator/gan", "train/discriminator/total"]
        assert measured["train/discriminator/gan"].item() == pytest.approx(judged)
        assert total.item() == pytest.approx(factor * judged)


def test_a_lazy_term_is_due_every_so_often_and_that_much_stronger(objective, view):
    lazy = objective(**{"losses.l1": {"weight": 10, "every": 3}, "losses.gan.weight": 0})
    totals = [lazy.total("generator", view, step)[0].item() for step in range(4)]
    assert totals == pytest.approx([3 * 10 * 0.25, 0, 0, 3 * 10 * 0.25])
    assert list(lazy.total("generator", view, 1)[1]) == ["train/generator/total"]


def test_what_is_measured_has_no_history_and_the_total_has(objective, view):
    view.fake.requires_grad_()
    total, measured = objective().total("generator", view, 0)
    assert total.requires_grad
    assert not any(value.requires_grad for value in measured.values())


def test_a_turn_in_which_no_term_is_due_teaches_nothing(objective, view):
    total, _ = objective(**{"losses.gan.weight": 0}).total("discriminator", view, 0)
    assert total.item() == 0
    assert not total.requires_grad


def test_totals_are_single_precision(objective, view):
    half = View(view.source, view.target.bfloat16(), view.fake.bfloat16(), view.discriminate)
    total, measured = objective(**{"losses.gan.weight": 0}).total("generator", half, 0)
    assert {total.dtype, *(value.dtype for value in measured.values())} == {torch.float32}


def test_a_run_is_adversarial_by_its_terms(objective):
    assert objective().adversarial
    assert not objective(**{"losses.gan.weight": 0}).adversarial


@pytest.mark.parametrize(("mode", "threshold"), [("lsgan", 0.5), ("vanilla", 0.0), ("hinge", 0.0), ("wgan", None)])
def test_the_threshold_is_that_of_the_term_that_knows_one(objective, mode, threshold):
    assert objective(**{"losses.gan.params.mode": mode}).threshold == threshold
    assert objective(**{"losses.gan.weight": 0}).threshold is None


def test_weights_are_told_for_each_player_that_a_term_has_a_say_for(objective):
    assert objective(**{"engine.discriminator_factor": 0.5, "losses.gan.weight": 3}).weighted == {
        "train/generator/gan": 3,
        "train/generator/l1": 100,
        "train/discriminator/gan": 1.5,
    }


class Judge(nn.Module):
    """A constant network, a memory, and a weight that learns."""

    def __init__(self):
        super().__init__()
        self.constant, self.learns = nn.Linear(2, 2).requires_grad_(False), nn.Parameter(torch.zeros(1))
        self.follows = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.register_buffer("count", torch.zeros(1))

    def generator(self, view):
        return self.learns.sum()


def test_of_losses_is_saved_what_learns_or_has_changed():
    loss = Judge()
    objective = Objective([SimpleNamespace(name="judge", loss=loss)])
    assert set(objective.states()["losses.judge"]) == {"learns"}
    loss.count += 1
    loss.follows.data = torch.ones(1)
    assert set(objective.states()["losses.judge"]) == {"learns", "follows", "count"}
