"""The U-Net: the reference's numbers, where its parts are, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from p2pkit import ComponentError, ImageSpec, VectorSpec
from p2pkit.builtin.generators.unet import UNet

UPSAMPLINGS = ["transposed", "nearest", "bilinear", "pixel_shuffle"]


def small(spec, **params):
    channels = params.pop("channels", {})
    return UNet(spec(16, **channels), **{"depth": 4, "width": 8, "dropout": 0.0, **params})


def dropout_blocks(net):
    return [n for n, block in enumerate(net.up, 1) if any(isinstance(m, nn.Dropout) for m in block.modules())]


@pytest.mark.parametrize(
    ("depth", "norm", "count"),
    [
        (8, "batch", 54_413_955),
        (8, "instance", 54_409_603),
        (7, "batch", 41_828_995),
        (7, "instance", 41_825_667),
    ],
)
def test_parameter_counts_are_the_references(spec, parameter_count, depth, norm, count):
    assert parameter_count(UNet, spec(256), depth=depth, norm=norm) == count


@pytest.mark.parametrize(
    ("name", "depth", "side"), [("unet_256_ngf2_{}", 8, 256), ("unet_128_ngf2_{}", 7, 128)], ids=["256", "128"]
)
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_computes_what_the_reference_computes(spec, reference, name, depth, side, norm):
    net = UNet(spec(side), depth=depth, width=2, norm=norm).eval()
    source, fake = reference(name.format(norm), net)
    torch.testing.assert_close(net(source), fake, atol=2e-6, rtol=0)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize(("source", "target"), [(3, 3), (1, 3), (5, 2)])
def test_any_channels_and_any_multiple_of_its_sides(spec, upsampling, source, target):
    net = UNet(spec(16, 48, source=source, target=target), depth=4, width=8, upsampling=upsampling)
    fake = net(torch.randn(1, source, 16, 48))
    assert fake.shape == (1, target, 16, 48)
    assert fake.abs().max() <= 1
    assert net.multiple == 16


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize("skips", [True, False])
def test_gradient_reaches_all_parameters(spec, norm, skips):
    net = small(spec, norm=norm, skips=skips, init_std=0.1)
    net(torch.randn(2, 3, 16, 16)).square().mean().backward()
    stranded = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert stranded == []
    # a bias before instance norm changes nothing, as in the reference
    assert all(p.grad.abs().max() > 0 for name, p in net.named_parameters() if name.endswith("weight"))


def test_channels_double_up_to_the_cap(spec):
    def widths(**params):
        return [block[-1 if n == 0 else 1].out_channels for n, block in enumerate(UNet(spec(64), **params).down)]

    assert widths(depth=6, width=4, norm="none") == [4, 8, 16, 32, 32, 32]
    assert widths(depth=6, width=4, norm="none", max_width=10) == [4, 8, 10, 10, 10, 10]


@pytest.mark.parametrize(("depth", "blocks"), [(8, [2, 3, 4]), (7, [2, 3]), (6, [2]), (5, []), (2, [])])
def test_dropout_is_where_the_reference_has_it(spec, depth, blocks):
    assert dropout_blocks(UNet(spec(256), depth=depth, width=1)) == blocks


def test_dropout_is_where_it_is_asked_for(spec):
    net = UNet(spec(256), width=1, dropout=0.3, dropout_blocks=(1, 2, 3))
    assert dropout_blocks(net) == [1, 2, 3]
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.3] * 3
    assert dropout_blocks(UNet(spec(256), width=1, dropout=0.0)) == []


def test_dropout_works_in_training_only(spec):
    net, source = small(spec, dropout=0.5, dropout_blocks=(1,), norm="none", init_std=0.1), torch.randn(1, 3, 16, 16)
    assert not torch.equal(net(source), net(source))
    net.eval()
    assert torch.equal(net(source), net(source))


def test_norm_is_missing_at_both_ends_and_in_the_bottleneck(spec):
    net = small(spec, norm="batch")
    normed = [any(isinstance(m, nn.BatchNorm2d) for m in block.modules()) for block in (*net.down, *net.up)]
    assert normed == [False, True, True, False, True, True, True, False]


@pytest.mark.parametrize(("norm", "biases"), [("batch", 1), ("group", 1), ("instance", 8), ("none", 8)])
def test_convolutions_have_a_bias_unless_their_norm_has_one(spec, norm, biases):
    convolutions = (m for m in small(spec, norm=norm).modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
    assert sum(m.bias is not None for m in convolutions) == biases


def test_skips_carry_the_encoders_levels(spec):
    source = torch.randn(1, 3, 16, 16)
    for skips in (True, False):
        net = small(spec, norm="none", skips=skips).eval()
        before = net(source)
        with torch.no_grad():
            net.down[-1][1].weight.zero_()  # nothing passes the bottleneck any more
        flat = net(source).std((2, 3)).max() == 0
        assert flat != skips
        assert not torch.equal(before, net(source))


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_initial_weights(spec, check_weights, upsampling):
    check_weights(UNet(spec(64), depth=5, width=16, upsampling=upsampling))


def test_initial_weights_follow_init_std(spec, check_weights):
    check_weights(UNet(spec(64), depth=5, width=16, init_std=0.05), 0.05)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_only_transposed_starts_with_a_checkerboard(spec, upsampling):
    doubling = small(spec, upsampling=upsampling).up[-2][1]
    doubled = doubling(torch.ones(1, 32, 8, 8))[..., 2:-2, 2:-2]  # the border sees the padding
    phases = torch.stack([doubled[..., row::2, column::2].mean((2, 3)) for row in (0, 1) for column in (0, 1)])
    unevenness = phases.std(0).max() / doubled.abs().max()
    assert (unevenness > 0.1) if upsampling == "transposed" else (unevenness < 1e-5)


def test_pixel_shuffle_starts_as_an_enlargement(spec):
    doubled = small(spec, upsampling="pixel_shuffle").up[1][1](torch.randn(1, 64, 4, 4))
    enlarged = nn.functional.interpolate(doubled[..., ::2, ::2], scale_factor=2)
    torch.testing.assert_close(doubled, enlarged)


def test_final_layers(spec):
    source = torch.randn(1, 3, 16, 16)
    linear = small(spec, final="linear", init_std=0.5, norm="none").eval()(source)
    assert linear.abs().max() > 1
    tanh = small(spec, final="tanh").eval()(source)
    assert 0 < tanh.abs().max() <= 1
    planes = small(spec, channels={"target": 4}, final="softmax").eval()(source)
    torch.testing.assert_close(((planes + 1) / 2).sum(1), torch.ones(1, 16, 16))


@pytest.mark.parametrize(
    ("size", "depth", "remedy"),
    [
        ((128,), 8, "use depth 7 or less (unet_128), or resize the images, for instance to 256 x 256"),
        ((64,), 8, "use depth 6 or less (unet_64), or resize the images, for instance to 256 x 256"),
        ((360, 640), 8, "use depth 3 or less, or resize the images, for instance to 256 x 512"),
        ((101, 300), 4, "resize the images, for instance to 96 x 304"),
    ],
)
def test_too_deep_for_the_images(spec, size, depth, remedy):
    with pytest.raises(ComponentError) as raised:
        UNet(spec(*size), depth=depth)
    images = f"{size[0]} x {size[-1]}"
    assert raised.value.cause == f"depth {depth} needs sides that are multiples of {2**depth}, the images are {images}"
    assert raised.value.remedy == remedy
    assert raised.value.parameter == "depth"


def test_dropout_in_a_block_that_makes_the_image(spec):
    with pytest.raises(ComponentError, match="depth 4 has no decoder block 4 that could have dropout") as raised:
        UNet(spec(16), depth=4, dropout_blocks=(1, 4))
    assert raised.value.remedy == "use blocks from 1 to 3; block 4 makes the image"
    assert raised.value.parameter == "dropout_blocks"


def test_builds_and_runs_on_the_meta_device(spec):
    with torch.device("meta"):
        assert UNet(spec(256))(torch.empty(1, 3, 256, 256)).shape == (1, 3, 256, 256)


@pytest.mark.parametrize("upsampling", ["transposed", "pixel_shuffle"])
def test_compiles_in_one_graph(spec, upsampling):
    net, source = small(spec, upsampling=upsampling).eval(), torch.randn(1, 3, 16, 16)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(source), net(source))


def test_a_vector_scales_and_shifts_the_decoder(spec):
    images = replace(spec(16), extras={"z": VectorSpec(4, "noise"), "map": ImageSpec(1)})
    torch.manual_seed(0)
    plain = UNet(images, depth=3, width=4).eval()
    torch.manual_seed(0)
    told = UNet(images, depth=3, width=4, condition="z").eval()
    assert not hasattr(plain, "takes")
    assert told.takes == ("z",)
    own = {name for name in told.state_dict() if name not in plain.state_dict()}
    assert {name.partition(".")[0] for name in own} == {"films"}
    assert all(torch.equal(told.state_dict()[name], value) for name, value in plain.state_dict().items())
    source, noise = torch.rand(2, 3, 16, 16), torch.randn(2, 4)
    assert not torch.equal(told(source, z=noise), told(source, z=-noise))
    assert torch.equal(told(source, z=torch.zeros(2, 4)), plain(source))


@pytest.mark.parametrize(("name", "remedy"), [("w", "name one of z, or write noise: {w: 8}"), ("map", "name one of z")])
def test_a_vector_that_is_not_there(spec, name, remedy):
    images = replace(spec(16), extras={"z": VectorSpec(4, "noise"), "map": ImageSpec(1)})
    with pytest.raises(ComponentError, match=f"no vector '{name}' stands beside the images") as caught:
        UNet(images, depth=3, condition=name)
    assert remedy in caught.value.remedy
    assert caught.value.parameter == "condition"
