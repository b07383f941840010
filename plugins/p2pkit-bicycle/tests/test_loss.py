"""Who learns what from the loss, and what it comes to."""

from __future__ import annotations

import pytest
import torch
from p2pkit import View
from torch import nn
from torch.distributions import Normal, kl_divergence

from p2pkit_bicycle import Bicycle, BicycleUNet

SMALL = {"encoder_width": 2, "halvings": 2, "judge_width": 2, "judge_layers": 1}


@pytest.fixture
def loss(spec):
    return lambda **params: Bicycle(spec(16, noise=3), **{**SMALL, **params})


@pytest.fixture
def net(spec):
    return BicycleUNet(spec(16, noise=3), width=2, depth=2)


def view_of(loss: Bicycle, net: nn.Module, *, history: bool = True) -> View:
    source, target, drawn = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), {"z": torch.randn(2, 3)}
    with torch.set_grad_enabled(history):
        made = loss.encode(source, target, drawn)
        fake = net(source, z=made["z"])

    def generate(source, **extras):
        with torch.set_grad_enabled(history):
            return net(source, **{name: extras[name] for name in ("z",)})

    return View(source, target, fake, None, generate=generate, extras=drawn, made=made)


def learning(network: nn.Module) -> bool:
    found = {p.grad is not None and bool(p.grad.any()) for n, p in network.named_parameters() if n.endswith("weight")}
    assert len(found) == 1, "either all of a network learns, or nothing"
    return found.pop()


@pytest.mark.parametrize(
    ("shares", "learns"),
    [
        ({"kl": 1, "latent": 0, "gan": 0}, [False, True, False]),
        ({"kl": 0, "latent": 1, "gan": 0}, [True, False, False]),
        ({"kl": 0, "latent": 0, "gan": 1}, [True, False, False]),
    ],
)
def test_who_learns_from_each_part_in_the_generators_turn(loss, net, shares, learns):
    made = loss(**shares)
    if shares["kl"]:  # the last layer of the mean starts with small weights, and a bias of 0
        nn.init.normal_(made.encoder.log_var.bias)
    made.generator(view_of(made, net)).backward()
    assert [learning(net), learning(made.encoder), learning(made.judge)] == learns


def test_in_the_discriminators_turn_the_second_discriminator_learns_alone(loss, net):
    made = loss()
    made.discriminator(view_of(made, net, history=False)).backward()
    assert [learning(net), learning(made.encoder), learning(made.judge)] == [False, False, True]


def test_the_fake_of_encoded_noise_teaches_the_encoder(loss, net):
    made = loss()
    view = view_of(made, net)
    (view.fake - view.target).abs().mean().backward()
    assert [learning(net), learning(made.encoder)] == [True, True]


def test_values(loss, net):
    made, logged = loss(kl=0.01, latent=0.5, gan=2.0), {}
    view = view_of(made, net)
    total = made.generator(view)
    logged = view.taken()
    torch.testing.assert_close(total, 0.01 * logged["kl"] + 0.5 * logged["latent"] + 2 * logged["gan"])
    encoded = Normal(view.extras["z_mean"], (view.extras["z_log_var"] / 2).exp())
    torch.testing.assert_close(logged["kl"], kl_divergence(encoded, Normal(0.0, 1.0)).sum(1).mean())
    for parameter in made.judge.parameters():
        nn.init.zeros_(parameter)  # every verdict is 0, half way between both labels
    assert made.discriminator(view).item() == pytest.approx(2.0)
    made.generator(view)
    assert view.taken()["gan"].item() == pytest.approx(1.0)
