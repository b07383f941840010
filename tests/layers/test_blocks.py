"""Blocks: their shapes, their biases, and what stands at the borders."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit.layers import PixelShuffleUp, ResidualBlock, convolve, drop, same_convolution, upsample


def test_dropout_only_where_there_is_some():
    assert drop(0.0) == ()
    (layer,) = drop(0.25)
    assert (type(layer), layer.p) == (nn.Dropout, 0.25)


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("padding", ["reflect", "replicate", "zeros"])
def test_a_convolution_that_keeps_the_size(kernel, padding):
    layer = same_convolution(3, 5, kernel, padding=padding, bias=False)
    assert layer(torch.zeros(1, 3, 8, 9)).shape == (1, 5, 8, 9)
    assert layer.bias is None


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
def test_one_bias_follows_each_convolution(norm, affine):
    layers = nn.Sequential(*convolve(3, 8, norm, affine=affine))
    assert [name for name, _ in layers.named_parameters() if name.endswith("bias")] in (["0.bias"], ["1.bias"])
    assert layers(torch.randn(2, 3, 8, 8)).min() == 0


def test_a_residual_block_without_weights_changes_nothing():
    block = ResidualBlock(4, "none", dropout=0.5)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    image = torch.randn(1, 4, 8, 8)
    assert torch.equal(block(image), image)


@pytest.mark.parametrize("kind", ["transposed", "nearest", "bilinear", "pixel_shuffle"])
@pytest.mark.parametrize("kernel", [3, 4])
def test_every_upsampling_doubles_the_sides(kind, kernel):
    layer = upsample(kind, 6, 4, bias=True, kernel=kernel)
    assert layer(torch.zeros(2, 6, 5, 7)).shape == (2, 4, 10, 14)


def test_the_pixels_of_a_square_begin_alike():
    layer = PixelShuffleUp(3, 2, bias=False)
    layer.equalise()
    made = layer(torch.randn(1, 3, 6, 6))
    assert torch.equal(made[..., ::2, ::2], made[..., 1::2, 1::2])
