"""The step against a plain textbook loop, and each of its options."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from p2pkit import Made
from p2pkit.engine.build.assembly import assemble


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


@pytest.mark.usefixtures("fp32")
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


def test_only_a_run_with_an_adversarial_term_has_a_discriminator(assembled, batches):
    assembly = assembled(**{"losses.gan.weight": 0})
    assert assembly.players.discriminator is None
    scalars = assembly.step(batches(assembly, 1), 0)
    assert set(scalars) == {"train/generator/l1", "train/generator/l1_weighted", "train/generator/total"}


@pytest.mark.usefixtures("fp32")
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


def test_feature_matching_and_penalties_train(assembled, batches):
    assembly = assembled(**{"losses.feature_matching": 10, "losses.gradient_penalty": 10})
    before = state(assembly.players.discriminator.network)
    scalars = assembly.step(batches(assembly, 1), 0)
    assert scalars["train/generator/feature_matching"].item() > 0
    assert scalars["train/discriminator/gradient_penalty"].item() > 0
    after = assembly.players.discriminator.network.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.long
@pytest.mark.usefixtures("fp32")
@pytest.mark.filterwarnings("ignore")  # torch's own, while it traces
def test_compiled_networks_learn_the_same(assembled, batches):
    plain, compiled = assembled(**{"engine.ema": 0.9}), assembled(**{"engine.ema": 0.9, "engine.compile": "on"})
    for number, batch in enumerate(batches(plain, 2)):
        expected, found = plain.step([batch], number), compiled.step([batch], number)
        for name, value in expected.items():
            assert found[name].item() == pytest.approx(value.item(), rel=1e-3, abs=1e-4), name
    assert compiled.evaluated.state_dict().keys() == plain.evaluated.state_dict().keys()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own
@pytest.mark.parametrize("loss", ["r1", "gradient_penalty"])
def test_penalties_differentiate_a_compiled_network_twice(assembled, loss):
    plain, compiled = assembled(**{f"losses.{loss}": 1}), assembled(**{f"losses.{loss}": 1})
    compiled.players.discriminator.network.compile(backend="aot_eager")
    batches = plain.trial()
    scalars = []
    for assembly in (plain, compiled):
        torch.manual_seed(0)
        scalars.append(assembly.step(batches, 0))
    for name, value in scalars[0].items():
        assert scalars[1][name].item() == pytest.approx(value.item(), rel=1e-4), name


def test_features_are_cast_once_and_only_where_a_loss_reads_them(assembled):
    assembly = assembled(**{"engine.precision": "bf16"})
    computed = []
    assembly.players.discriminator.network.register_forward_hook(lambda net, given, verdict: computed.append(verdict))
    batch, *_ = assembly.trial()
    verdict = assembly.step.forward.view(batch, Made(batch[1])).on_target
    assert {logits.dtype for logits in verdict.logits} == {torch.float32}
    assert "features" not in vars(verdict)
    assert torch.bfloat16 in {layer.dtype for scale in computed[0].features for layer in scale}
    assert {layer.dtype for scale in verdict.features for layer in scale} == {torch.float32}
    assert verdict.features is verdict.features


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_learns_moves_by_both_turns_and_asks_the_generator(learned, batches, accumulate):
    assembly = assemble(learned(**{"engine.accumulate": accumulate, "optimizers.losses": {"use": "sgd", "lr": 0.1}}))
    (loss,) = assembly.players.losses
    before = [weight.detach().clone() for weight in assembly.players.generator.network.parameters()]
    scalars = assembly.step(batches(assembly, accumulate), 7)
    assert [float(scalars[f"train/learned/{name}"]) for name in ("log_var", "step", "one", "history")] == [0, 7, 1, 0]
    apart = float(scalars["train/generator/learned"])
    judged = float(scalars["train/discriminator/learned"])
    # d/dx of exp(-x) * apart + x, and of exp(x) * judged, at 0; weight 2, and the discriminator's factor
    wanted = -0.1 * 2 * (1 - apart + 0.5 * judged)
    assert loss.network.log_var.item() == pytest.approx(wanted, rel=1e-4)
    assert loss.network.log_var.grad is None
    assert loss.network.calls == accumulate
    after = assembly.players.generator.network.parameters()
    assert not all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_loss_of_an_older_plugin_stays_as_it_is(learned, batches):
    assembly = assemble(learned(api=1))
    assembly.step(batches(assembly, 1), 0)
    assert assembly.players.losses == ()
    assert assembly.step.objective.modules["losses.learned"].log_var == 0


class TestPace:
    """How often the discriminator moves for each update of the generator."""

    @pytest.mark.usefixtures("fp32")
    @pytest.mark.parametrize("order", ["discriminator_first", "generator_first"])
    def test_two_updates_of_the_discriminator_are_a_textbooks(self, assembled, batches, order):
        """Each on pairs of its own; the generator's are the last, or the first where it moves first."""
        first = order == "generator_first"
        assembly = assembled(**{"engine.order": order, "updates.discriminator": 2})
        one, two = batches(assembly, 2)
        networks = [copy.deepcopy(p.network) for p in (assembly.players.generator, assembly.players.discriminator)]
        scalars = assembly.step([one, two], 0)
        made, judged = networks
        opt_g = torch.optim.Adam(made.parameters(), lr=2e-4, betas=(0.5, 0.999))
        opt_d = torch.optim.Adam(judged.parameters(), lr=2e-4, betas=(0.5, 0.999))
        losses = []

        def judge(source, target, fake):
            opt_d.zero_grad()
            real, other = judged(source, target).logits[0], judged(source, fake.detach()).logits[0]
            loss = functional.mse_loss(real, torch.ones_like(real)) + functional.mse_loss(
                other, torch.zeros_like(other)
            )
            (0.5 * loss).backward()
            opt_d.step()
            losses.append(loss.item())

        def make(source, target, fake):
            opt_g.zero_grad()
            logits = judged(source, fake).logits[0]
            (functional.mse_loss(logits, torch.ones_like(logits)) + 100 * functional.l1_loss(fake, target)).backward()
            opt_g.step()

        shared, alone = (one, two) if first else (two, one)
        fake = made(shared[0])
        if first:
            make(*shared, fake)
            judge(*shared, fake)
        judge(*alone, made(alone[0]))
        if not first:
            judge(*shared, fake)
            make(*shared, fake)
        assert scalars["train/discriminator/gan"].item() == pytest.approx(sum(losses) / 2, rel=1e-4)
        for mine, theirs in zip((assembly.players.generator, assembly.players.discriminator), networks, strict=True):
            for name, value in mine.network.named_parameters():
                torch.testing.assert_close(value, theirs.get_parameter(name), rtol=1e-3, atol=2e-5)

    def test_two_updates_of_the_generator_leave_the_discriminator_every_other_step(self, assembled, batches):
        assembly = assembled(**{"updates.generator": 2})
        data, moved = batches(assembly), []
        for number, batch in enumerate(data):
            weights = list(assembly.players.discriminator.network.parameters())
            before = [weight.clone() for weight in weights]
            scalars = assembly.step([batch], number)
            moved.append(not all(torch.equal(one, other) for one, other in zip(before, weights, strict=True)))
            assert ("train/discriminator/gan" in scalars) == moved[-1]
            assert "train/generator/gan" in scalars
        assert moved == [True, False, True]

    def test_a_discriminator_without_updates_judges_and_stays(self, assembled, batches):
        assembly = assembled(**{"updates.discriminator": 0})
        before = [weight.clone() for weight in assembly.players.discriminator.network.parameters()]
        scalars = assembly.step(batches(assembly, 1), 0)
        assert scalars["train/generator/gan"].item() > 0
        after = assembly.players.discriminator.network.parameters()
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
