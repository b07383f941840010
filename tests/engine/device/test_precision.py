from __future__ import annotations

import torch
from torch import nn

from p2pkit.engine.device.precision import choose_precision

CPU = torch.device("cpu")


def test_autocast_changes_the_arithmetic_of_a_forward_pass():
    layer, image = nn.Linear(4, 4), torch.randn(2, 4)
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with choose_precision(name, CPU).autocast():
            assert layer(image).dtype == kind


def test_an_optimiser_without_gradients_is_left_alone():
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    precision = choose_precision("fp32", CPU)
    before = layer.weight.clone()
    precision.step(optimizer)
    assert torch.equal(layer.weight, before)
    precision.scale(layer(torch.ones(1, 2)).sum()).backward()
    precision.step(optimizer)
    assert not torch.equal(layer.weight, before)
