"""The ResNet generator: the reference's numbers, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit import ComponentError
from p2pkit.builtin.generators.resnet import ResNet
from p2pkit.layers import ResidualBlock


def small(spec, **params):
    return ResNet(spec(16), **{"blocks": 2, "width": 4, **params})


@pytest.mark.parametrize(
    ("blocks", "norm", "count"),
    [
        (9, "batch", 11_383_427),
        (9, "instance", 11_378_179),
        (6, "batch", 7_841_411),
        (6, "instance", 7_837_699),
    ],
)
def test_parameter_counts_are_the_references(spec, parameter_count, blocks, norm, count):
    assert parameter_count(ResNet, spec(256), blocks=blocks, norm=norm) == count


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_computes_what_the_reference_computes(spec, reference, norm, dropout):
    net = ResNet(spec(128), blocks=6, width=2, norm=norm, dropout=dropout).eval()
    source, fake = reference(f"resnet_6blocks_ngf2_{norm}", net)
    torch.testing.assert_close(net(source), fake, atol=2e-6, rtol=0)


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "bilinear", "pixel_shuffle"])
@pytest.mark.parametrize(("source", "target"), [(3, 3), (1, 3), (5, 2)])
def test_any_channels_and_any_multiple_of_four(spec, upsampling, source, target):
    net = ResNet(spec(12, 20, source=source, target=target), blocks=1, width=4, upsampling=upsampling)
    fake = net(torch.randn(1, source, 12, 20))
    assert fake.shape == (1, target, 12, 20)
    assert fake.abs().max() <= 1
    assert net.multiple == 4


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize("padding", ["reflect", "replicate", "zeros"])
def test_gradient_reaches_all_parameters(spec, norm, padding):
    net = small(spec, norm=norm, padding=padding, init_std=0.1)
    net(torch.randn(2, 3, 16, 16)).square().mean().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
    assert all(p.grad.abs().max() > 0 for name, p in net.named_parameters() if name.endswith("weight"))


def test_dropout_lies_between_a_blocks_convolutions(spec):
    blocks = [m for m in small(spec, norm="batch", dropout=0.4).modules() if isinstance(m, ResidualBlock)]
    kinds = ["Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Conv2d", "BatchNorm2d"]
    assert [[type(m).__name__ for m in block.model] for block in blocks] == [kinds] * 2
    assert [block.model[3].p for block in blocks] == [0.4] * 2
    assert not [m for m in small(spec, dropout=0.0).modules() if isinstance(m, nn.Dropout)]


def test_padding_decides_what_the_border_sees(spec):
    for padding, flat in (("reflect", True), ("replicate", True), ("zeros", False)):
        block = ResidualBlock(4, "none", padding=padding)
        assert (block(torch.ones(1, 4, 8, 8)).std((2, 3)).max() < 1e-6) == flat


def test_initial_weights(spec, check_weights):
    check_weights(ResNet(spec(64), blocks=2, width=16))


@pytest.mark.parametrize(("size", "example"), [((30, 64), "32 x 64"), ((4, 4), "8 x 8"), ((5, 102), "8 x 104")])
def test_sides_that_do_not_fit(spec, size, example):
    with pytest.raises(ComponentError, match=r"resnet needs sides that are multiples of 4 and at least 8") as raised:
        ResNet(spec(*size))
    assert raised.value.remedy == f"resize the images, for instance to {example}"


def test_smallest_sides_train(spec):
    assert ResNet(spec(8), blocks=1, width=4, norm="instance")(torch.randn(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_compiles_in_one_graph(spec):
    net, source = small(spec).eval(), torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(torch.compile(net, fullgraph=True, backend="eager")(source), net(source))
