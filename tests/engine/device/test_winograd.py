"""Winograd's way gives what a convolution gives, with fewer multiplications."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from p2pkit.engine.device.winograd import SIDE, transforms, winograd


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
@pytest.mark.parametrize(("height", "width", "padding"), [(12, 12, 0), (13, 7, 1), (5, 9, 2)])
def test_it_convolves(kernel, height, width, padding):
    torch.manual_seed(0)
    image, weight = torch.randn(3, 8, height, width), torch.randn(5, 8, kernel, kernel)
    expected = functional.conv2d(image.double(), weight.double(), padding=padding)
    result = winograd(image, weight, padding)
    assert result.shape == expected.shape
    assert (result - expected).abs().max() < 1e-4
    assert (result - expected).abs().mean() < 3e-6 * expected.abs().max()


@pytest.mark.parametrize("kernel", [3, 4])
def test_its_rounding_is_little_worse_than_torchs(kernel):
    torch.manual_seed(0)
    image, weight = torch.randn(1, 256, 32, 32), 0.02 * torch.randn(64, 256, kernel, kernel)
    exact = functional.conv2d(image.double(), weight.double())
    errors = [
        (how - exact).abs().max() / exact.abs().max() for how in (winograd(image, weight), _torchs(image, weight))
    ]
    assert errors[0] < 1e-5
    assert errors[0] < 20 * errors[1]


def test_it_multiplies_less():
    image, weight = torch.randn(1, 256, 32, 32), torch.randn(256, 256, 4, 4)
    flops = []
    for convolve in (_torchs, winograd):
        with FlopCounterMode(display=False) as counter:
            convolve(image, weight)
        flops.append(counter.get_total_flops())
    assert flops[1] < 0.4 * flops[0]


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_the_transforms_filter(kernel):
    of_output, of_kernel, of_tile = (matrix.double() for matrix in transforms(kernel))
    torch.manual_seed(0)
    tile, weight = torch.randn(SIDE, SIDE).double(), torch.randn(kernel, kernel).double()
    result = of_output @ ((of_kernel @ weight.flatten()) * (of_tile @ tile.flatten()))
    expected = functional.conv2d(tile[None, None], weight[None, None])
    torch.testing.assert_close(result, expected.flatten(), rtol=0, atol=1e-5)


def _torchs(image, weight):
    return functional.conv2d(image, weight)
