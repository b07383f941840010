"""The networks against counts by hand, which are those of the published code, and what they refuse."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from p2pkit import ComponentError
from torch import nn

from p2pkit_bicycle import Bicycle, BicycleUNet, PatchPair

NOISE = 8


def convolution(inputs: int, outputs: int, kernel: int) -> int:
    """Weights and biases of a convolution, transposed or not."""
    return inputs * outputs * kernel**2 + outputs


def unet_by_hand(everywhere: bool) -> int:
    """Eight halvings, and eight doublings of which all but the first see a halving's output too."""
    levels = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    down = sum(
        convolution(less + (NOISE if everywhere or less == 3 else 0), more, 4) for less, more in pairwise(levels)
    )
    up = sum(
        convolution(more * (1 if place == 7 else 2), less, 4) for place, (less, more) in enumerate(pairwise(levels))
    )
    return down + up


def encoder_by_hand() -> int:
    """A first convolution, four blocks of 128, 192, 256 and 256 channels, and two linear layers."""
    blocks = sum(
        convolution(less, less, 3) + convolution(less, more, 3) + convolution(less, more, 1)
        for less, more in pairwise([64, 128, 192, 256, 256])
    )
    return convolution(3, 64, 4) + blocks + 2 * (256 * NOISE + NOISE)


def patch_by_hand(width: int) -> int:
    return sum(convolution(less, more, 4) for less, more in pairwise([3, width, 2 * width, 4 * width, 8 * width, 1]))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_are_the_published_codes(spec):
    with torch.device("meta"):
        images = spec(256)
        loss = Bicycle(images)
        found = [count(BicycleUNet(images)), count(BicycleUNet(images, inject="input")), count(PatchPair(images))]
    assert found == [unet_by_hand(True), unet_by_hand(False), patch_by_hand(64) + patch_by_hand(32)]
    assert found == [54_794_627, 54_417_795, 3_458_978]
    assert count(loss.encoder) == encoder_by_hand() == 2_590_032
    assert count(loss.judge) == found[2]


@pytest.mark.parametrize("inject", ["all", "input"])
def test_the_noise_changes_the_fake_and_gradients_reach_it_and_all_parameters(spec, inject):
    net = BicycleUNet(spec(16, source=2, noise=3), width=2, depth=3, inject=inject)
    source, noise = torch.randn(2, 2, 16, 16), torch.randn(2, 3, requires_grad=True)
    fake = net(source, z=noise)
    assert fake.shape == (2, 3, 16, 16)
    assert not torch.equal(fake, net(source, z=noise + 1))
    fake.square().mean().backward()
    assert noise.grad.abs().min() > 0
    assert all(p.grad.any() for name, p in net.named_parameters() if name.endswith("weight"))


def test_scales_are_two_and_the_second_sees_half_the_image(spec):
    judge = PatchPair(spec(64), width=4, layers=2)
    image = torch.randn(1, 3, 64, 64)
    verdict = judge(image, image)
    assert [tuple(logits.shape[2:]) for logits in verdict.logits] == [(14, 14), (6, 6)]
    half = nn.functional.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
    for block in judge.scales[1]:
        half = block(half)
    torch.testing.assert_close(verdict.logits[1], half)
    assert torch.equal(judge(-image, image).logits[0], verdict.logits[0])
    assert not torch.equal(*(PatchPair(spec(64), width=4, layers=2, conditional=True)(s, image).logits[0]
                             for s in (image, -image)))  # fmt: skip


@pytest.mark.parametrize(
    ("factory", "side", "params", "parameter", "cause"),
    [
        (BicycleUNet, 64, {}, "depth", "depth 8 needs sides that are multiples of 256"),
        (BicycleUNet, 256, {"noise": "w"}, "noise", "no vector 'w' stands beside the images"),
        (Bicycle, 256, {"noise": "w"}, "noise", "no vector 'w' stands beside the images"),
        (Bicycle, 16, {"halvings": 5, "judge_layers": 1}, "halvings", "the encoder halves images 5 times"),
        (PatchPair, 32, {}, "layers", "3 layers leave no verdict of half of 32 x 32"),
    ],
)
def test_what_does_not_fit_is_said(spec, factory, side, params, parameter, cause):
    with torch.device("meta"), pytest.raises(ComponentError, match=cause) as raised:
        factory(spec(side), **params)
    assert raised.value.parameter == parameter


def test_a_discriminator_inside_the_loss_says_so_by_the_losses_own_parameter(spec):
    with pytest.raises(ComponentError, match="3 layers leave no verdict") as raised:
        Bicycle(spec(32), encoder_width=2, judge_width=2)
    assert raised.value.parameter == "judge_layers"


def test_compiles_in_one_graph(spec):
    net = BicycleUNet(spec(16), width=2, depth=3).eval()
    source, z = torch.randn(1, 3, 16, 16), torch.randn(1, 8)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(source, z=z), net(source, z=z))
