from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit.config.model import EngineConfig
from p2pkit.engine.device.placement import choose_placement
from p2pkit.engine.device.precision import choose_precision

CPU = torch.device("cpu")


def test_what_auto_means_on_a_cpu():
    place = choose_placement(EngineConfig(device="cpu"), nn.Conv2d(3, 8, 4, 2))
    assert place.facts()["precision"] == "fp32"
    assert place.memory_format == torch.channels_last
    assert (
        choose_placement(EngineConfig(device="cpu", memory_format="contiguous")).memory_format
        == torch.contiguous_format
    )


def test_a_network_that_channels_last_would_crash_stays_contiguous():
    """torch 2.15 ends the process in this convolution's backward pass, channels last on a CPU."""
    network = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False))
    place = choose_placement(EngineConfig(device="cpu"), network)
    assert place.memory_format == torch.contiguous_format
    with pytest.warns(UserWarning, match=r"engine\.memory_format: channels_last crashes torch"):
        choose_placement(EngineConfig(device="cpu", memory_format="channels_last"), network)
    place.put(network)
    image = torch.randn(2, 8, 64, 64).contiguous(memory_format=place.memory_format).requires_grad_()
    network(image).sum().backward()
    assert image.grad is not None


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


def test_weights_of_transposed_convolutions_are_not_copied_in_each_update():
    place = choose_placement(EngineConfig(device="cpu"))
    network = place.put(nn.Sequential(nn.Conv2d(3, 64, 4, 2, 1), nn.ConvTranspose2d(64, 32, 4, 2, 1)))
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    image = torch.randn(2, 3, 16, 16).contiguous(memory_format=place.memory_format)
    network(image).sum().backward()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        optimizer.step()
    copied = [event.input_shapes[0] for event in profile.events() if event.name == "aten::copy_"]
    assert [64, 32, 4, 4] not in copied
