"""Convolutions as products: the same images and gradients, where it is worth it, and nothing else is touched."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit.engine.device import cpu_convolutions
from p2pkit.engine.device.cpu_convolutions import CpuConvolutionMode

FASTER = {
    "halving, few pixels": (nn.Conv2d(24, 16, 4, 2, 1), (2, 24, 8, 8)),
    "halving, without bias": (nn.Conv2d(24, 16, 4, 2, 1, bias=False), (1, 24, 2, 2)),
    "halving, odd sides": (nn.Conv2d(8, 16, 3, 2, 1), (1, 8, 9, 7)),
    "doubling, few pixels": (nn.ConvTranspose2d(24, 16, 4, 2, 1), (4, 24, 4, 4)),
    "doubling, one pixel": (nn.ConvTranspose2d(24, 16, 4, 2, 1, bias=False), (3, 24, 1, 1)),
    "doubling, kernel of 3": (nn.ConvTranspose2d(8, 16, 3, 2, 1, output_padding=1), (1, 8, 3, 5)),
    "many channels, kernel of 4": (nn.Conv2d(128, 144, 4, 1, 1), (1, 128, 32, 33)),
    "many channels, kernel of 3": (nn.Conv2d(128, 128, 3, 1), (2, 128, 30, 32)),
}
AS_BEFORE = {
    "many pixels": (nn.Conv2d(8, 8, 4, 2, 1), (1, 8, 32, 32)),
    "few channels": (nn.Conv2d(64, 64, 3, 1, 1), (1, 64, 40, 40)),
    "groups": (nn.Conv2d(8, 8, 4, 2, 1, groups=2), (1, 8, 8, 8)),
    "dilation": (nn.Conv2d(8, 8, 3, 2, 1, dilation=2), (1, 8, 8, 8)),
    "two strides": (nn.Conv2d(8, 8, 4, (2, 1), 1), (1, 8, 8, 8)),
    "an oblong kernel": (nn.Conv2d(8, 8, (4, 2), 2, 1), (1, 8, 8, 8)),
    "one image alone": (nn.Conv2d(8, 8, 4, 2, 1), (8, 8, 8)),
    "a name for the padding": (nn.Conv2d(128, 128, 3, 1, "same"), (1, 128, 32, 32)),
    "double precision": (nn.Conv2d(8, 8, 4, 2, 1).double(), (1, 8, 8, 8)),
    "doubling many pixels": (nn.ConvTranspose2d(8, 8, 4, 2, 1), (1, 8, 16, 16)),
    "a linear layer": (nn.Linear(8, 8), (1, 8, 8, 8)),
}


@pytest.fixture
def taken(monkeypatch):
    """Say how often a convolution was computed otherwise than torch does it."""
    times = []
    finished = cpu_convolutions._finished
    monkeypatch.setattr(cpu_convolutions, "_finished", lambda *given: times.append(1) or finished(*given))
    return times


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("case", FASTER)
def test_results_and_gradients_are_torchs(case, memory_format, taken):
    module, size = FASTER[case]
    torch.manual_seed(0)
    image = torch.randn(size).contiguous(memory_format=memory_format)
    expected = _with_gradients(module, image)
    with CpuConvolutionMode():
        output = module(image)
    assert taken
    result = _with_gradients(module, image, CpuConvolutionMode())
    for theirs, ours in zip(expected, result, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5 * float(theirs.abs().max()))
    assert output.is_contiguous(memory_format=torch.contiguous_format if 1 in size[2:] else memory_format)


@pytest.mark.parametrize("case", AS_BEFORE)
def test_everything_else_is_left_to_torch(case, taken):
    module, size = AS_BEFORE[case]
    image = torch.randn(size, dtype=next(module.parameters()).dtype)
    expected = module(image)
    with CpuConvolutionMode():
        assert module(image).equal(expected)
    assert not taken


def test_arithmetic_of_lower_precision_is_left_to_torch(taken):
    module, size = FASTER["halving, few pixels"]
    with CpuConvolutionMode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(torch.randn(size)).dtype == torch.bfloat16
    assert not taken


@pytest.mark.parametrize("case", ["halving, few pixels", "doubling, few pixels", "many channels, kernel of 3"])
def test_a_gradients_penalty_has_torchs_gradient(case):
    module, size = FASTER[case]
    torch.manual_seed(0)
    image = torch.randn(size)
    penalties = []
    for how in (None, CpuConvolutionMode()):
        module.zero_grad()
        output, source = _run(module, image, how)
        (slope,) = torch.autograd.grad(output.square().sum(), source, create_graph=True)
        slope.square().sum().backward()
        penalties.append(module.weight.grad.clone())
    torch.testing.assert_close(penalties[1], penalties[0], rtol=1e-3, atol=1e-4 * float(penalties[0].abs().max()))


def test_a_network_is_left_as_it_was():
    module, size = FASTER["doubling, few pixels"]
    before = dict(module.__dict__)
    with CpuConvolutionMode():
        module(torch.randn(size))
    assert module.__dict__ == before
    assert type(module) is nn.ConvTranspose2d


def _run(module, image, how):
    source = image.clone().requires_grad_()
    if how is None:
        return module(source), source
    with how:
        return module(source), source


def _with_gradients(module, image, how=None):
    module.zero_grad()
    output, source = _run(module, image, how)
    torch.manual_seed(1)
    output.backward(torch.randn_like(output))
    return [output.detach(), source.grad, *(parameter.grad.clone() for parameter in module.parameters())]
