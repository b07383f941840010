"""Optimisers and their learning rates."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from p2pkit.config.model import OptimizerConfig
from p2pkit.engine.build.optimizer import learning_rate, make_optimizer, set_learning_rate


@pytest.mark.parametrize(("use", "kind"), [("adam", Adam), ("adamw", AdamW)])
def test_an_optimiser_is_what_the_config_says(use, kind):
    config = OptimizerConfig(use=use, lr=3e-4, betas=(0.1, 0.2), eps=1e-5, weight_decay=0.03)
    optimizer = make_optimizer(config, nn.Linear(2, 2))
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    wanted = {"lr": 3e-4, "betas": (0.1, 0.2), "eps": 1e-5, "weight_decay": 0.03, "fused": True, "capturable": False}
    assert {key: group[key] for key in wanted} == wanted


def test_defaults_are_the_papers():
    (group,) = make_optimizer(OptimizerConfig(), nn.Linear(2, 2)).param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.5, 0.999), 0)


def test_what_is_frozen_is_not_moved():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    before = [p.clone() for p in network.parameters()]
    optimizer = make_optimizer(OptimizerConfig(weight_decay=0.1), network)
    assert optimizer.param_groups[0]["params"] == list(network[1].parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    moved = [not torch.equal(p, q) for p, q in zip(before, network.parameters(), strict=True)]
    assert moved == [False, False, True, True]


def test_the_rate_of_every_group_is_set():
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizer = SGD([{"params": first.parameters(), "lr": 0.1}, {"params": second.parameters(), "lr": 0.2}])
    set_learning_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]
    assert learning_rate(optimizer) == 0.5


def test_a_rate_on_the_device_is_set_where_it_lies():
    optimizer = Adam(nn.Linear(1, 1).parameters(), lr=torch.tensor(0.1))
    rate = optimizer.param_groups[0]["lr"]
    set_learning_rate(optimizer, 0.25)
    assert optimizer.param_groups[0]["lr"] is rate
    assert learning_rate(optimizer) == 0.25
    assert isinstance(learning_rate(optimizer), float)


def test_a_rate_is_written_only_when_it_changes():
    optimizer = Adam(nn.Linear(1, 1).parameters(), lr=torch.tensor(0.1))
    rate = optimizer.param_groups[0]["lr"]
    versions = []
    for value in (0.1, 0.1, 0.25, 0.25):
        set_learning_rate(optimizer, value)
        versions.append(rate._version)
    assert versions == [1, 1, 2, 2]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_can_be_captured():
    (group,) = make_optimizer(OptimizerConfig(lr=0.5), nn.Linear(2, 2, device="cuda")).param_groups
    assert group["capturable"]
    assert group["lr"].device.type == "cuda"
    assert group["lr"].item() == 0.5
