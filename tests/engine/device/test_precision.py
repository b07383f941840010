from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from p2pkit.config.model import EngineConfig
from p2pkit.engine.device import precision
from p2pkit.engine.device.placement import choose_placement
from p2pkit.engine.device.precision import Precision, allow_tf32, choose_precision, full_fp32

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


@pytest.mark.parametrize(
    ("capability", "wanted"), [((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16")]
)
def test_auto_takes_what_a_gpu_computes_in_hardware(monkeypatch, capability, wanted):
    def supported(including_emulation=True):
        return including_emulation or capability >= (8, 0)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    assert precision._fastest_on_gpu(torch.device("cuda:1")) == wanted


def test_fp16_goes_on_after_a_step_in_which_no_term_was_due():
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    fp16 = Precision("fp16", CPU)

    def update(due):
        if due:
            fp16.scale(layer(torch.ones(1, 2)).sum()).backward()
        fp16.unscale(optimizer)
        fp16.step(optimizer)
        fp16.update()
        optimizer.zero_grad()

    for due in (True, False, False, True):
        before = layer.weight.clone()
        update(due)
        assert torch.equal(layer.weight, before) != due


@pytest.fixture
def tf32():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield lambda: (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def test_full_fp32_is_for_a_while(tf32):
    allow_tf32(True)
    with full_fp32():
        assert tf32() == ("highest", False)
    assert tf32() == ("high", True)
    allow_tf32(False)
    assert tf32() == ("highest", False)


def test_scores_are_made_without_tf32(work, monkeypatch, tf32):
    from p2pkit.engine.evaluation import evaluator

    seen = []
    score = evaluator.score
    monkeypatch.setattr(evaluator, "score", lambda *args: seen.append(tf32()) or score(*args))
    allow_tf32(True)
    work(**{"schedule.epochs": 1}).train()
    assert set(seen) == {("highest", False)}
    assert tf32() == ("high", True)
