"""Initial weights: which are drawn, which are zero, which stay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit.layers import PixelShuffleUp, initialise, normalise


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("layer", [nn.Conv2d(64, 64, 3), nn.ConvTranspose2d(64, 64, 3)])
def test_convolutions_are_drawn_around_zero(layer):
    initialise(layer, 0.05)
    assert abs(layer.weight.mean()) < 1e-3
    assert layer.weight.std().item() == pytest.approx(0.05, rel=0.05)
    assert not layer.bias.any()


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_the_norms_weights_are_drawn_around_one(norm):
    (layer,) = normalise(norm, 4096, affine=True)
    initialise(layer, 0.02)
    assert layer.weight.mean().item() == pytest.approx(1, abs=2e-3)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not layer.bias.any()


def test_a_norm_without_weights_draws_nothing():
    before = torch.random.get_rng_state()
    initialise(nn.Sequential(*normalise("instance", 8)), 0.02)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_biases_of_convolutions_stay_where_that_is_asked_for():
    layer = nn.Conv2d(3, 8, 3)
    bias = layer.bias.clone()
    initialise(layer, 0.02, biases=False)
    assert torch.equal(layer.bias, bias)


def test_pixel_shuffles_begin_free_of_checkerboards():
    network = nn.Sequential(PixelShuffleUp(3, 2, bias=True))
    initialise(network, 0.02)
    weight = network[0].get_parameter("0.weight")
    assert torch.equal(weight[0], weight[3])
