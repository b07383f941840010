"""How networks are asked: in the run's arithmetic, with fp32 as the answer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit import Loss, Made, Verdict
from p2pkit.engine.device.precision import Precision
from p2pkit.engine.step.forward import ForwardPasses
from p2pkit.engine.step.objective import Objective, Term
from p2pkit.engine.step.players import Player, Players
from p2pkit.parts import LossPart

CPU = torch.device("cpu")
SOURCE = torch.linspace(-1, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(6, 4, 1)
        self.seen = []

    def forward(self, source, image):
        feature = self.layer(torch.cat([source, image], 1))
        self.seen.append(feature.dtype)
        return Verdict((feature[:, :1], feature[:, 1:2]), ((feature,), ()))


@pytest.fixture(params=["fp32", "bf16"])
def forward(request):
    torch.manual_seed(0)
    players = [Player(network, None) for network in (nn.Conv2d(3, 3, 1), Judge())]
    return ForwardPasses(Players(*players), Precision(request.param, CPU))


def test_fakes_are_single_precision_and_can_be_learnt_from(forward):
    fake = forward.generate(SOURCE).fake
    assert fake.dtype == torch.float32
    fake.sum().backward()
    assert forward.players.generator.network.weight.grad is not None


def test_fakes_for_the_discriminator_alone_have_no_history(forward):
    fake = forward.generate_without_history(SOURCE).fake
    assert not fake.requires_grad
    assert torch.equal(fake, forward.generate(SOURCE).fake)


def test_verdicts_are_computed_as_the_run_computes_and_told_in_fp32(forward):
    judge = forward.players.discriminator.network
    verdict = forward.judge(judge)(SOURCE, SOURCE)
    assert judge.seen == [torch.float32 if forward.precision.name == "fp32" else torch.bfloat16]
    assert {logits.dtype for logits in verdict.logits} == {torch.float32}
    assert [len(scale) for scale in verdict.features] == [1, 0]
    assert torch.equal(verdict.features[0][0][:, 1:2], verdict.logits[1])


def test_the_generators_terms_see_the_discriminator_once_for_each_image(forward):
    view = forward.view((SOURCE, SOURCE.flip(0)), Made(SOURCE))
    for _ in range(2):
        assert view.on_fake is view.on_fake
        assert view.on_target is not view.on_fake
    assert len(forward.players.discriminator.network.seen) == 2


def test_without_adversary_nobody_can_be_asked():
    alone = ForwardPasses(Players(Player(nn.Conv2d(3, 3, 1), None), None), Precision("fp32", CPU))
    with pytest.raises(RuntimeError, match="needs a discriminator"):
        _ = alone.view((SOURCE, SOURCE), Made(SOURCE)).on_fake


def test_who_learns_is_asked_and_who_does_not_is_not():
    """Among several processes it is the other self, whose backward pass exchanges gradients."""
    plain, shared = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
    passes = ForwardPasses(Players(Player(plain, None, shared), None), Precision("fp32", CPU))
    assert torch.equal(passes.generate(SOURCE).fake, shared(SOURCE))
    assert torch.equal(passes.generate_without_history(SOURCE).fake, plain(SOURCE))


def test_bf16_stays_near_fp32(assembled, batches):
    full, half = assembled(**{"engine.precision": "fp32"}), assembled(**{"engine.precision": "bf16"})
    data = batches(full, 1)
    first, second = full.step(data, 0), half.step(data, 0)
    for name, value in first.items():
        assert second[name].dtype == torch.float32
        assert second[name].item() == pytest.approx(value.item(), rel=0.05, abs=0.02), name


class Encoder(nn.Module):
    """Makes the noise of a batch of its targets."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def encode(self, source, target, extras):
        assert extras["z"].shape == (len(source), 1)
        return {"z": self.gain * target.mean((1, 2, 3))[:, None], "told": self.gain * 2}

    def generator(self, view):
        return view.extras["told"]


class Shifted(nn.Conv2d):
    def forward(self, source, z):
        return super().forward(source) + z[:, :, None, None]


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_a_loss_makes_the_noise_of_a_batch_and_learns_by_what_becomes_of_it(weight):
    encoder, part = Encoder(), LossPart("losses.e", Loss("e", Encoder, "a test's"), weight=weight)
    passes = ForwardPasses(
        Players(Player(Shifted(3, 3, 1), None), None),
        Precision("fp32", CPU),
        ["z"],
        Objective([Term("e", part, encoder)]),
    )
    batch = SOURCE, SOURCE.flip(0), torch.full((len(SOURCE), 1), 9.0)
    made = passes.fakes(batch)
    noise = passes.view(batch, made).extras["z"]
    if not weight:  # a term that has no say makes nothing
        assert torch.equal(noise, batch[2])
        return
    torch.testing.assert_close(noise, SOURCE.flip(0).mean((1, 2, 3))[:, None])
    made.fake.sum().backward()
    assert encoder.gain.grad is not None
    alone = passes.fakes(batch, history=False)
    assert not alone.extras["z"].requires_grad
    assert torch.equal(alone.fake, made.fake)
    drawn = passes.view(batch, made).generate(SOURCE)  # a second fake has the batch's own noise
    assert (drawn - made.fake).mean() > 5


def test_where_a_mask_says_that_nothing_counts_the_target_stands_in_the_place_of_the_fake():
    torch.manual_seed(0)
    players = Players(Player(nn.Conv2d(3, 3, 1), None), None)
    forward = ForwardPasses(players, Precision("fp32", CPU), ["season", "valid"], mask="valid")
    target, valid = SOURCE.flip(0), torch.ones_like(SOURCE[:, :1])
    valid[..., 2:] = -1
    batch = (SOURCE, target, torch.zeros(len(SOURCE), 2), valid)
    made = forward.fakes(batch).fake
    assert torch.equal(made[..., 2:], target[..., 2:])
    assert torch.equal(made[..., :2], forward.generate(SOURCE).fake[..., :2])
    made[..., 2:].sum().backward(retain_graph=True)
    assert not players.generator.network.weight.grad.any()
    made.sum().backward()
    assert players.generator.network.weight.grad.any()
