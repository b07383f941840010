"""The blog posts' U-Net, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit import ComponentError
from p2pkit.builtin.generators.unet_blog import UNetBlog


def small(spec, **channels):
    return UNetBlog(spec(32, **channels), depth=5, width=8)


@pytest.fixture
def original(spec):
    with torch.device("meta"):
        return UNetBlog(spec(256))


def parameters_of(network, prefix):
    return sum(p.numel() for name, p in network.named_parameters() if name.startswith(prefix))


def test_parameter_counts_layer_by_layer(original):
    down = [3_072, 131_072, 524_288, 2_097_152, *[4_194_304] * 4]
    up = [4_194_304, 8_388_608, 8_388_608, 8_388_608, 4_194_304, 1_048_576, 262_144]
    assert [parameters_of(original, f"down{n}.") for n in range(1, 9)] == down
    assert [parameters_of(original, f"up{n}.") for n in range(1, 8)] == up
    assert parameters_of(original, "final.") == 6_147
    assert parameters_of(original, "") == 54_404_099


def test_state_has_the_names_that_published_weights_have(original):
    down, up = ([f"{side}{n}.model.0.weight" for n in range(1, last)] for side, last in (("down", 9), ("up", 8)))
    assert list(original.state_dict()) == [*down, *up, "final.2.weight", "final.2.bias"]


def test_every_block_is_as_listed(original):
    def layers(name):
        return [type(m).__name__ for m in original.get_submodule(f"{name}.model")]

    assert layers("down1") == ["Conv2d", "LeakyReLU"]
    assert layers("down2") == layers("down3") == ["Conv2d", "InstanceNorm2d", "LeakyReLU"]
    assert all(layers(f"down{n}") == ["Conv2d", "InstanceNorm2d", "LeakyReLU", "Dropout"] for n in (4, 5, 6, 7))
    assert layers("down8") == ["Conv2d", "LeakyReLU", "Dropout"]
    assert all(layers(f"up{n}") == ["ConvTranspose2d", "InstanceNorm2d", "ReLU", "Dropout"] for n in (1, 2, 3, 4))
    assert all(layers(f"up{n}") == ["ConvTranspose2d", "InstanceNorm2d", "ReLU"] for n in (5, 6, 7))
    assert [type(m).__name__ for m in original.final] == ["Upsample", "ZeroPad2d", "Conv2d", "Tanh"]
    assert {m.p for m in original.modules() if isinstance(m, nn.Dropout)} == {0.5}


def test_shapes_on_the_way_are_as_listed(original):
    sizes = {}
    for name, block in original.named_children():
        block.register_forward_hook(lambda _, __, made, name=name: sizes.update({name: tuple(made.shape[1:3])}))
    assert original(torch.empty(1, 3, 256, 256, device="meta")).shape == (1, 3, 256, 256)
    down = [(64, 128), (128, 64), (256, 32), (512, 16), (512, 8), (512, 4), (512, 2), (512, 1)]
    up = [(1024, 2), (1024, 4), (1024, 8), (1024, 16), (512, 32), (256, 64), (128, 128)]
    assert list(sizes.values()) == [*down, *up, (3, 256)]


@pytest.mark.parametrize(("source", "target"), [(3, 3), (1, 3), (5, 2)])
def test_any_channels(spec, source, target):
    net = small(spec, source=source, target=target)
    fake = net(torch.randn(1, source, 32, 64))
    assert fake.shape == (1, target, 32, 64)
    assert fake.abs().max() <= 1
    assert net.multiple == 32


def test_gradient_reaches_all_parameters(spec):
    net = small(spec)
    net(torch.randn(2, 3, 32, 32)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_initial_weights(spec, check_weights):
    net = UNetBlog(spec(32), depth=5, width=16)
    check_weights(net, zero_biases=False)
    assert net.final[2].bias.abs().max() > 0  # PyTorch's own initial values


def test_too_deep_for_the_images(spec):
    with pytest.raises(ComponentError, match="depth 8 needs sides that are multiples of 256") as raised:
        UNetBlog(spec(128))
    assert raised.value.remedy == "use depth 7 or less, or resize the images, for instance to 256 x 256"
    assert raised.value.parameter == "depth"


def test_compiles_in_one_graph(spec):
    net, source = small(spec).eval(), torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(torch.compile(net, fullgraph=True, backend="eager")(source), net(source))
