from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit.engine.step.ema import EMA


def test_warms_up_then_keeps_its_decay():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = EMA(network, 0.9)
    expected = 0.0
    for step in range(1, 200):
        nn.init.constant_(network.weight, float(step))
        average.update(network)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.network.weight.item() == pytest.approx(expected, rel=1e-4)


def test_follows_in_one_pass_and_leaves_the_network_as_it_is():
    network = nn.Conv2d(3, 4, 3)
    average = EMA(network, 0.9)
    nn.init.normal_(network.weight, generator=torch.Generator().manual_seed(0))
    before, latest = average.network.weight.clone(), network.weight.clone()
    average.update(network)
    torch.testing.assert_close(average.network.weight.detach(), before + (latest - before) * 9 / 11)
    assert torch.equal(network.weight, latest)
    assert network.weight.grad is average.network.weight.grad is None


def test_buffers_are_the_latest():
    network = nn.BatchNorm1d(2)
    average = EMA(network, 0.99)
    network(torch.randn(8, 2))
    average.update(network)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert average.network.num_batches_tracked == 1


def test_is_what_is_evaluated_and_saved(assembled, batches):
    assembly = assembled(**{"engine.ema": 0.9})
    for number, batch in enumerate(batches(assembly)):
        assembly.step([batch], number)
    latest = assembly.players.generator.network.state_dict()
    averaged = assembly.evaluated.state_dict()
    assert any(not torch.equal(latest[name], averaged[name]) for name in latest)
    assert not any(p.requires_grad for p in assembly.evaluated.parameters())
