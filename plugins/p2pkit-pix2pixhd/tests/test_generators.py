"""Both generators against the paper's layer lists, the reference's numbers, and what they refuse."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from p2pkit import ComponentError
from p2pkit.layers import ResidualBlock
from torch import nn

from p2pkit_pix2pixhd import GlobalGenerator, LocalGenerator


def convolution(inputs: int, outputs: int, kernel: int) -> int:
    """Weights and biases of a convolution."""
    return inputs * outputs * kernel**2 + outputs


def global_by_hand(source: int) -> int:
    """c7s1-64, d128 .. d1024, nine R1024, u512 .. u64, c7s1-3."""
    widths = [64, 128, 256, 512, 1024]
    steps = list(pairwise(widths))
    down = sum(convolution(less, more, 3) for less, more in steps)
    up = sum(convolution(more, less, 3) for less, more in steps)
    blocks = 9 * 2 * convolution(1024, 1024, 3)
    return convolution(source, 64, 7) + down + blocks + up + convolution(64, 3, 7)


def local_by_hand(source: int) -> int:
    """c7s1-32, d64, three R64, u32, c7s1-3, around the global generator without its last layer."""
    front = convolution(source, 32, 7) + convolution(32, 64, 3)
    back = 3 * 2 * convolution(64, 64, 3) + convolution(64, 32, 3) + convolution(32, 3, 7)
    return front + back + global_by_hand(source) - convolution(64, 3, 7)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def notation(network: nn.Module) -> list[str]:
    """Write a network's layers as the paper's appendix does."""
    if isinstance(network, ResidualBlock):
        kinds = [type(layer).__name__ for layer in network.model]
        assert kinds == ["Conv2d", "InstanceNorm2d", "ReLU", "Conv2d", "InstanceNorm2d"]
        return [f"R{network.model[3].out_channels}"]
    if isinstance(network, nn.ConvTranspose2d):
        return [f"u{network.out_channels}"]
    if isinstance(network, nn.Conv2d):
        return [{(7, 1): "c7s1-", (3, 2): "d"}[network.kernel_size[0], network.stride[0]] + str(network.out_channels)]
    return [layer for child in network.children() for layer in notation(child)]


@pytest.mark.parametrize(
    ("factory", "by_hand", "source", "expected"),
    [
        (GlobalGenerator, global_by_hand, 36, 182_546_755),
        (GlobalGenerator, global_by_hand, 3, 182_443_267),
        (LocalGenerator, local_by_hand, 36, 182_857_059),
        (LocalGenerator, local_by_hand, 3, 182_701_827),
    ],
)
def test_parameter_counts(spec, factory, by_hand, source, expected):
    with torch.device("meta"):
        assert count(factory(spec(512, 1024, source=source))) == by_hand(source) == expected


def test_layers_are_the_papers(spec):
    with torch.device("meta"):
        whole, local = GlobalGenerator(spec(512, 1024)), LocalGenerator(spec(512, 1024))
    inside = ["c7s1-64", "d128", "d256", "d512", "d1024"] + ["R1024"] * 9 + ["u512", "u256", "u128", "u64"]
    assert [*notation(whole.features), *notation(whole.head)] == [*inside, "c7s1-3"]
    features = local.features
    outside = [*notation(features.front), *notation(features.back), *notation(local.head)]
    assert outside == ["c7s1-32", "d64", "R64", "R64", "R64", "u32", "c7s1-3"]
    assert notation(features.coarse) == inside


@pytest.mark.parametrize("factory", [GlobalGenerator, LocalGenerator])
def test_every_convolution_but_the_last_is_normalised_without_weights(spec, factory):
    with torch.device("meta"):
        network = factory(spec(512, 1024))
    kinds = [type(m) for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.InstanceNorm2d)]
    convolutions = [kind for kind in kinds if kind is not nn.InstanceNorm2d]
    assert len(kinds) - len(convolutions) == len(convolutions) - 1
    assert not [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d) and m.affine]
    assert [type(layer) for layer in network.head] == [nn.Conv2d, nn.Tanh]


@pytest.mark.parametrize("factory", [GlobalGenerator, LocalGenerator])
def test_shapes_at_1024_x_512(spec, factory):
    with torch.device("meta"):
        network = factory(spec(512, 1024, source=36))
        assert network(torch.zeros(1, 36, 512, 1024)).shape == (1, 3, 512, 1024)


def test_global_generator_inside_sees_half_the_resolution(fine):
    net, seen = fine().eval(), []
    net.features.coarse.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    source = torch.randn(1, 3, 32, 64)
    fake = net(source)
    half = nn.functional.avg_pool2d(source, 3, 2, 1, count_include_pad=False)
    assert seen[0].shape == (1, 3, 16, 32)
    torch.testing.assert_close(seen[0], half)
    features = net.features
    torch.testing.assert_close(fake, net.head(features.back(features.front(source) + features.coarse(half))))


def test_enhancers_lie_around_one_another(fine, spec):
    net = fine(enhancers=2, width=2)
    widths = [level.front[0][0].out_channels for level in (net.features, net.features.coarse)]
    assert widths == [2, 4]
    assert net.features.coarse.coarse[0][0].out_channels == 8
    assert net.multiple == 16
    assert net(torch.randn(1, 3, 32, 48)).shape == (1, 3, 32, 48)
    assert not hasattr(net.features.coarse.coarse, "coarse")


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "bilinear"])
@pytest.mark.parametrize(("source", "target"), [(3, 3), (1, 3), (36, 2)])
def test_any_channels_and_sides(spec, upsampling, source, target):
    for factory, size in ((GlobalGenerator, (16, 24)), (LocalGenerator, (32, 48))):
        images = spec(*size, source=source, target=target)
        net = factory(images, width=2, halvings=2, blocks=1, upsampling=upsampling)
        fake = net(torch.randn(1, source, *size))
        assert fake.shape == (1, target, *size)
        assert fake.abs().max() <= 1


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@pytest.mark.parametrize("padding", ["reflect", "replicate", "zeros"])
def test_gradient_reaches_all_parameters(coarse, fine, norm, padding):
    for make, side in ((coarse, 16), (fine, 32)):
        net = make(norm=norm, padding=padding, init_std=0.1)
        net(torch.randn(2, 3, side, side)).square().mean().backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())
        assert all(p.grad.any() for name, p in net.named_parameters() if name.endswith("weight"))


def test_a_small_one_learns_at_the_real_depth(spec):
    images = spec(64, 128, source=5)
    net = LocalGenerator(images, width=4)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, betas=(0.5, 0.999))
    source, target = torch.randn(1, 5, 64, 128), torch.rand(1, 3, 1, 1).expand(1, 3, 64, 128)
    losses = []
    for _ in range(4):
        loss = nn.functional.l1_loss(net(source), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_padding_keeps_the_border_of_a_flat_image_flat(coarse, padding):
    flat, zeros = (coarse(norm="none", padding=kind, init_std=0.1).features[0] for kind in (padding, "zeros"))
    image = torch.ones(1, 3, 16, 16)
    assert flat(image).std((2, 3)).max() < 1e-5
    assert zeros(image).std((2, 3)).max() > 1e-3


@pytest.mark.parametrize("factory", [GlobalGenerator, LocalGenerator])
def test_initial_weights(spec, factory):
    net = factory(spec(64), width=16, blocks=2, init_std=0.05, norm="batch")
    kernels = torch.cat([m.weight.flatten() for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)])
    assert kernels.std().item() == pytest.approx(0.05, rel=0.02)
    assert kernels.mean().item() == pytest.approx(0, abs=0.001)
    norms = torch.cat([m.weight for m in net.modules() if isinstance(m, nn.BatchNorm2d)])
    assert norms.mean().item() == pytest.approx(1, abs=0.01)
    assert not any(p.any() for name, p in net.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize(
    ("factory", "size", "multiple", "example"),
    [
        (GlobalGenerator, (500, 1024), 16, "496 x 1024"),
        (GlobalGenerator, (16, 64), 16, "32 x 64"),
        (LocalGenerator, (512, 1000), 32, "512 x 992"),
        (LocalGenerator, (32, 64), 32, "64 x 64"),
    ],
)
def test_sides_that_do_not_fit(spec, factory, size, multiple, example):
    with pytest.raises(ComponentError, match=f"multiples of {multiple} and at least {2 * multiple}") as raised:
        factory(spec(*size))
    assert raised.value.parameter == "halvings"
    assert f"for instance to {example}" in raised.value.remedy


def test_smallest_sides_and_multiples(coarse, fine):
    assert coarse()(torch.randn(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    assert fine()(torch.randn(1, 3, 16, 16)).shape == (1, 3, 16, 16)
    assert (coarse().multiple, fine().multiple) == (4, 8)


def test_compiles_in_one_graph(coarse, fine):
    for net in (coarse().eval(), fine().eval()):
        source = torch.randn(1, 3, 32, 32)
        torch.testing.assert_close(torch.compile(net, fullgraph=True, backend="eager")(source), net(source))
