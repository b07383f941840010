"""The networks against counts by hand, which are those of the published code, and what they refuse."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from p2pkit import ComponentError, ImageSpec, PairSpec
from torch import nn

from p2pkit_spade import OasisDiscriminator, SpadeGenerator, StyleLoss


def convolution(inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> int:
    return inputs * outputs * kernel**2 + (outputs if bias else 0)


def block(inputs: int, outputs: int, planes: int) -> int:
    """Two convolutions and their SPADEs of 128 hidden channels, and of other channels out a third of each."""

    def spade(channels: int) -> int:
        return convolution(planes, 128) + 2 * convolution(128, channels)

    middle = min(inputs, outputs)
    found = convolution(inputs, middle) + convolution(middle, outputs) + spade(inputs) + spade(middle)
    return found + (convolution(inputs, outputs, 1, bias=False) + spade(inputs) if inputs != outputs else 0)


def generator_by_hand(planes: int, begins: int, middle: int = 3) -> int:
    levels = [1024] * (middle + 1) + [512, 256, 128, 64]
    return begins + sum(block(*ends, planes) for ends in pairwise(levels)) + convolution(64, 3)


def oasis_by_hand(classes: int) -> int:
    """Six blocks down, six up of which five see a block's outcome beside, and a last convolution of 1 x 1."""

    def residual(inputs: int, outputs: int) -> int:
        straight = convolution(inputs, outputs, 1) if inputs != outputs else 0
        return convolution(inputs, outputs) + convolution(outputs, outputs) + straight

    down = sum(residual(*ends) for ends in pairwise([3, 128, 128, 256, 256, 512, 512]))
    up = [(512, 512), (1024, 256), (512, 256), (512, 128), (256, 128), (256, 64)]
    return down + sum(residual(*ends) for ends in up) + convolution(64, classes + 1, 1)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "planes", "size", "params", "begins", "expected"),
    [
        ("COCO-Stuff", 184, (256, 256), {}, convolution(184, 1024), 97_480_899),
        ("Cityscapes", 36, (256, 512), {"upsamplings": 6}, convolution(36, 1024), 93_048_003),
        ("ADE20K", 151, (256, 256), {}, convolution(151, 1024), 96_492_483),
        ("COCO-Stuff, style", 184, (256, 256), {"style": "z"}, 257 * 1024 * 8 * 8, 112_626_883),
    ],
)
def test_generators_are_as_large_as_the_published_codes(spec, name, planes, size, params, begins, expected):
    with torch.device("meta"):
        net = SpadeGenerator(spec(*size, classes=planes, z=256), **params, spectral_norm=False)
    assert count(net) == generator_by_hand(planes, begins) == expected


def test_oasis_is_as_large_as_the_published_code(spec):
    with torch.device("meta"):
        net = SpadeGenerator(spec(256, classes=151, z=64), middle=2, noise="z", spectral_norm=False)
        judge = OasisDiscriminator(spec(256, classes=151), spectral_norm=False)
    assert count(net) == generator_by_hand(151 + 64, convolution(151 + 64, 1024), 2) == 74_314_691
    assert count(judge) == oasis_by_hand(151) == 22_258_904


def test_the_style_encoder_is_as_large_as_the_published_code(spec):
    with torch.device("meta"):
        loss = StyleLoss(spec(256, classes=2, z=256))
    layers = sum(convolution(*ends, bias=False) for ends in pairwise([3, 64, 128, 256, 512, 512, 512]))
    assert count(loss) == layers + 2 * (512 * 16 * 256 + 256) == 10_463_424


SMALL = {"width": 2, "hidden": 4, "upsamplings": 4, "middle": 1, "init_gain": 1.0}


@pytest.mark.parametrize(("upsamplings", "middle", "doubled"), [
    (4, 1, {1, 2, 3, 4}), (5, 3, {1, 3, 4, 5, 6}), (6, 3, {1, 2, 3, 4, 5, 6}), (7, 3, {1, 2, 3, 4, 5, 6, 7}),
    (5, 2, {1, 2, 3, 4, 5}),
])  # fmt: skip
def test_where_the_sides_are_doubled(spec, upsamplings, middle, doubled):
    params = {**SMALL, "upsamplings": upsamplings, "middle": middle, "spectral_norm": False}
    with torch.device("meta"):
        net = SpadeGenerator(spec(256), **params)
        assert net.doubled == doubled
        assert net(torch.zeros(1, 3, 256, 256)).shape == (1, 3, 256, 256)


@pytest.mark.parametrize("name", ["style", "noise"])
def test_a_vector_changes_the_fake_and_is_reached_by_gradients(spec, name):
    net = SpadeGenerator(spec(32, 64, z=5), **SMALL, **{name: "z"})
    assert net.takes == ("z",)
    source, vector = torch.randn(2, 3, 32, 64), torch.randn(2, 5, requires_grad=True)
    fake = net(source, z=vector)
    assert fake.shape == (2, 3, 32, 64)
    assert not torch.equal(fake, net(source, z=vector + 1))
    fake.square().mean().backward()
    assert vector.grad.abs().min() > 0


def test_the_blocks_convolutions_alone_have_a_spectral_norm(spec):
    net = SpadeGenerator(spec(32), **SMALL)
    held = {name.removesuffix(".parametrizations.weight") for name, module in net.named_modules()
            if name.endswith(".parametrizations.weight")}  # fmt: skip
    wanted = {f"blocks.{number}.{name}" for number in range(5) for name in ("convolutions.0", "convolutions.1")}
    assert held == wanted | {f"blocks.{number}.shortcut" for number in range(1, 5)}
    for _ in range(20):
        net(torch.randn(1, 3, 32, 32))
    weight = net.get_submodule("blocks.0.convolutions.0").weight.flatten(1)
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=1e-3)


def test_a_verdict_tells_classes_and_that_a_pixel_is_real(spec):
    judge = OasisDiscriminator(spec(16, classes=4), width=2, halvings=2)
    image = torch.randn(2, 3, 16, 16)
    verdict = judge(torch.zeros(2, 4, 16, 16), image)
    planes = verdict.features[0][0]
    assert planes.shape == (2, 5, 16, 16)
    real = 1 - planes.softmax(1)[:, :1]
    torch.testing.assert_close(verdict.logits[0].sigmoid(), real)


@pytest.mark.parametrize(
    ("factory", "size", "params", "parameter", "cause"),
    [
        (SpadeGenerator, 32, {}, "upsamplings", "spade needs sides that are multiples of 32 and at least 64"),
        (SpadeGenerator, 64, {"middle": 1}, "middle", "5 doublings need 2 blocks of full width, and there are 1"),
        (SpadeGenerator, 64, {"style": "w"}, "style", "no vector 'w' stands beside the images"),
        (SpadeGenerator, 64, {"noise": "w"}, "noise", "no vector 'w' stands beside the images"),
        (StyleLoss, 64, {"style": "w"}, "style", "no vector 'w' stands beside the images"),
        (StyleLoss, 64, {"style": "z", "side": 48}, "side", "the encoder halves 48 pixels until 4 are left"),
        (OasisDiscriminator, 32, {}, "halvings", "oasis needs sides that are multiples of 64"),
    ],
)
def test_what_does_not_fit_is_said(spec, factory, size, params, parameter, cause):
    with torch.device("meta"), pytest.raises(ComponentError, match=cause) as raised:
        factory(spec(size, z=3), **params)
    assert raised.value.parameter == parameter


def test_oasis_wants_label_maps():
    with torch.device("meta"), pytest.raises(ComponentError, match="the sources are none"):
        OasisDiscriminator(PairSpec(ImageSpec(3), ImageSpec(3), 64, 64))
