"""The step against a plain textbook loop, and each of its options."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def textbook(generator, discriminator, batches, *, generator_first=False):
    """The loop of a tutorial: LSGAN and 100 L1, discriminator's loss halved, batch norm and all."""
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    losses = []
    for source, target in batches:
        fake = generator(source)

        def judge(fake=fake, source=source, target=target):
            opt_d.zero_grad()
            real = discriminator(source, target).logits[0]
            made = discriminator(source, fake.detach()).logits[0]
            loss = functional.mse_loss(real, torch.ones_like(real)) + functional.mse_loss(made, torch.zeros_like(made))
            (0.5 * loss).backward()
            opt_d.step()
            return loss.item()

        def make(fake=fake, source=source, target=target):
            opt_g.zero_grad()
            logits = discriminator(source, fake).logits[0]
            loss = functional.mse_loss(logits, torch.ones_like(logits)) + 100 * functional.l1_loss(fake, target)
            loss.backward()
            opt_g.step()
            return loss.item()

        order = (make, judge) if generator_first else (judge, make)
        losses.append([act() for act in order])
    return losses


@pytest.mark.parametrize("order", ["discriminator_first", "generator_first"])
def test_equals_the_textbook(assembled, batches, order):
    assembly = assembled(**{"engine.order": order})
    data = batches(assembly)
    generator = copy.deepcopy(assembly.players.generator.network)
    discriminator = copy.deepcopy(assembly.players.discriminator.network)
    expected = textbook(generator, discriminator, data, generator_first=order == "generator_first")
    for number, (batch, losses) in enumerate(zip(data, expected, strict=True)):
        scalars = assembly.step([batch], number)
        judged = scalars["train/discriminator/gan"].item()
        made = scalars["train/generator/total"].item()
        pair = (made, judged) if order == "generator_first" else (judged, made)
        assert pair == pytest.approx(losses, rel=1e-4)
    for mine, theirs in (
        (assembly.players.generator.network, generator),
        (assembly.players.discriminator.network, discriminator),
    ):
        for name, value in mine.state_dict().items():
            torch.testing.assert_close(value, theirs.state_dict()[name], rtol=1e-3, atol=2e-5)


def test_generators_turn_leaves_no_gradient_in_the_discriminator(assembled, batches):
    assembly = assembled(**{"engine.order": "generator_first"})
    assembly.step(batches(assembly, 1), 0)
    parameters = list(assembly.players.discriminator.network.parameters())
    assert all(p.requires_grad and p.grad is None for p in parameters)


def test_what_a_discriminator_has_frozen_stays_so(assembled, batches):
    assembly = assembled()
    first, *others = assembly.players.discriminator.network.parameters()
    first.requires_grad_(False)
    assembly.step(batches(assembly, 1), 0)
    assert not first.requires_grad
    assert first.grad is None
    assert all(parameter.requires_grad for parameter in others)


def test_only_a_run_with_an_adversarial_term_has_a_discriminator(assembled, batches):
    assembly = assembled(**{"losses.gan.weight": 0})
    assert assembly.players.discriminator is None
    scalars = assembly.step(batches(assembly, 1), 0)
    assert set(scalars) == {"train/generator/l1", "train/generator/l1_weighted", "train/generator/total"}


def test_weights_belong_to_the_run(assembled, batches):
    scalars = (step := assembled()).step(batches(step, 1), 0)
    assert scalars["train/generator/l1_weighted"].item() == pytest.approx(100 * scalars["train/generator/l1"].item())
    total = scalars["train/generator/l1_weighted"] + scalars["train/generator/gan_weighted"]
    assert scalars["train/generator/total"].item() == pytest.approx(total.item())
    halved = scalars["train/discriminator/gan_weighted"].item()
    assert halved == pytest.approx(0.5 * scalars["train/discriminator/gan"].item())


def test_accumulation_equals_one_large_batch(assembled, batches):
    """Without batch statistics two halves and the whole are the same update."""
    plain = {"generator": {"use": "unet", "params": {"depth": 3, "width": 8, "norm": "none", "dropout": 0.0}}}
    plain["discriminator"] = {"use": "patch", "params": {"layers": 1, "width": 8, "norm": "none"}}
    halves, whole = assembled(**plain), assembled(**plain)
    (s1, t1), (s2, t2) = batches(halves, 2)
    first = halves.step([(s1, t1), (s2, t2)], 0)
    second = whole.step([(torch.cat([s1, s2]), torch.cat([t1, t2]))], 0)
    assert first["train/generator/total"].item() == pytest.approx(second["train/generator/total"].item(), rel=1e-5)
    pairs = zip(
        halves.players.generator.network.parameters(), whole.players.generator.network.parameters(), strict=True
    )
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_lazy_terms_come_every_so_often_and_stronger(assembled, batches):
    lazy = {"losses.r1": {"weight": 1, "every": 2}}
    assembly = assembled(**lazy)
    data = batches(assembly)
    seen = [assembly.step([batch], number) for number, batch in enumerate(data)]
    assert ["train/discriminator/r1" in scalars for scalars in seen] == [True, False, True]
    parts = seen[0]["train/discriminator/gan_weighted"] + 2 * seen[0]["train/discriminator/r1_weighted"]
    assert seen[0]["train/discriminator/total"].item() == pytest.approx(parts.item(), rel=1e-5)


def test_clipping_bounds_the_gradient(assembled, batches, monkeypatch):
    assembly = assembled(**{"engine.clip": 1e-3})
    norms = []
    monkeypatch.setattr(
        assembly.place.precision,
        "step",
        lambda optimizer: norms.append(
            torch.stack([p.grad.norm() for group in optimizer.param_groups for p in group["params"]]).norm().item()
        ),
    )
    assembly.step(batches(assembly, 1), 0)
    assert len(norms) == 2
    assert all(norm == pytest.approx(1e-3, rel=1e-2) for norm in norms)


def test_verdicts_are_reported_when_asked_anyway(assembled, batches):
    assembly = assembled()
    scalars = assembly.step(batches(assembly, 1), 0)
    assert {"train/verdict/real", "train/verdict/fake"} <= set(scalars)
    assert all(value.shape == () and not value.requires_grad for value in scalars.values())


def test_feature_matching_and_penalties_train(assembled, batches):
    assembly = assembled(**{"losses.feature_matching": 10, "losses.gradient_penalty": 10})
    before = state(assembly.players.discriminator.network)
    scalars = assembly.step(batches(assembly, 1), 0)
    assert scalars["train/generator/feature_matching"].item() > 0
    assert scalars["train/discriminator/gradient_penalty"].item() > 0
    after = assembly.players.discriminator.network.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_bf16_stays_near_fp32(assembled, batches):
    full, half = assembled(), assembled(**{"engine.precision": "bf16"})
    data = batches(full, 1)
    first, second = full.step(data, 0), half.step(data, 0)
    for name, value in first.items():
        assert second[name].dtype == torch.float32
        assert second[name].item() == pytest.approx(value.item(), rel=0.05, abs=0.02), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, while it traces
def test_compiled_networks_learn_the_same(assembled, batches):
    plain, compiled = assembled(**{"engine.ema": 0.9}), assembled(**{"engine.ema": 0.9, "engine.compile": "on"})
    for number, batch in enumerate(batches(plain, 2)):
        expected, found = plain.step([batch], number), compiled.step([batch], number)
        for name, value in expected.items():
            assert found[name].item() == pytest.approx(value.item(), rel=1e-3, abs=1e-4), name
    assert compiled.evaluated.state_dict().keys() == plain.evaluated.state_dict().keys()
