"""How many values a network has."""

from __future__ import annotations

import torch
from torch import nn

from p2pkit.engine.build.parameters import count_parameters, count_parameters_on_meta


def test_frozen_values_are_counted_and_told_apart():
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1, bias=False))
    assert (count_parameters(network).total, count_parameters(network).frozen) == (8 + 4 + 2, 0)
    network[0].requires_grad_(False)
    found = count_parameters(network)
    assert (found.total, found.trainable, found.frozen) == (14, 6, 8)


def test_shared_weights_count_once():
    layer = nn.Linear(3, 3)
    assert count_parameters(nn.Sequential(layer, layer)).total == 12


def test_a_network_without_parameters_has_none():
    assert count_parameters(nn.ReLU()).total == 0


def test_the_size_is_known_without_building_for_real(checked):
    run = checked()
    state = torch.get_rng_state()
    for part in (run.generator, run.discriminator):
        found = count_parameters_on_meta(part, run.spec)
        assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn, so nothing was made
        torch.manual_seed(0)
        assert found == count_parameters(part.build(run.spec))
        torch.set_rng_state(state)
