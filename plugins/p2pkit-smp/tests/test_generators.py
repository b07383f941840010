"""Every architecture: full size, the right range, gradients, the parameters that settle it."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch
from torch import nn

from p2pkit import ComponentError

NAMES = (
    "smp_unet",
    "smp_unet_plus_plus",
    "smp_manet",
    "smp_linknet",
    "smp_fpn",
    "smp_deeplabv3_plus",
    "smp_upernet",
    "smp_segformer",
    "smp_dpt",
)
ENLARGED = {
    "FPN": "smp_fpn",
    "DeepLabV3Plus": "smp_deeplabv3_plus",
    "UPerNet": "smp_upernet",
    "Segformer": "smp_segformer",
}


def noise(images, count=2):
    return torch.rand(count, images.source.channels, images.height, images.width) * 2 - 1


def straight(image):
    """The share of pixels that lie on a straight line between their neighbours, as in an enlarged image."""
    bends = image.diff(n=2, dim=-1).abs() / image.diff(dim=-1).abs().mean()
    return (bends < 1e-3).float().mean().item()


@pytest.mark.parametrize("name", NAMES)
def test_full_size_range_and_gradient(name, build, spec):
    images = spec(64, 96, source=4, target=2)
    generator = build(name, images)
    fake = generator(noise(images))
    assert fake.shape == (2, 2, 64, 96)
    assert fake.abs().max() <= 1
    assert 0.02 < fake.std() < 0.9  # neither without signal nor saturated
    fake.square().mean().backward()
    trained = [p for p in generator.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_detail_of_one_pixel(name, build, spec):
    """Nothing enlarges the finished image: neighbouring pixels are free of each other."""
    with torch.no_grad():
        assert straight(build(name).eval()(noise(spec()))) < 0.01


@pytest.mark.parametrize("architecture", ENLARGED)
def test_the_librarys_own_head_would_enlarge_it(architecture, spec):
    """What the test above looks for is there without our head."""
    import segmentation_models_pytorch as smp

    network = getattr(smp, architecture)(encoder_name="resnet18", encoder_weights=None, classes=3)
    with torch.no_grad():
        assert straight(network.eval()(noise(spec()))) > 0.4


def test_what_it_learns_shows_no_blocks(build):
    """After learning smooth and sharp structure, the borders of 4 x 4 blocks are no steeper than other places."""
    dice = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 4, 4, generator=dice) * 1.6 - 0.8
    target = nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(-1, 1)
    generator = build("smp_fpn")
    optimizer = torch.optim.Adam(generator.parameters(), 2e-3)
    for _ in range(30):
        loss = (generator(target) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        steps = generator(target).diff(dim=-1).abs().mean((0, 1, 2))
    border = torch.arange(1, 64) % 4 == 0
    assert loss < 0.25
    assert 0.6 < steps[border].mean() / steps[~border].mean() < 1.6


@pytest.mark.parametrize(("name", "norm"), list(zip(NAMES, cycle(["instance", "group"]))))
def test_norms_of_decoder_and_head(name, norm, build, spec):
    """One function puts either norm into all of them."""
    generator = build(name, norm=norm)
    for part in (generator.decoder, generator.head):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in part.modules())
    assert generator.train()(noise(spec(), 1)).isfinite().all()


@pytest.mark.parametrize("name", ["smp_upernet", "smp_deeplabv3_plus"])
def test_one_pair_in_a_batch_behind_global_pooling(name, build, spec):
    assert build(name).train()(noise(spec(), 1)).isfinite().all()


def test_softmax_for_labels(build, spec):
    images = spec(target=5, kind="labels")
    planes = build("smp_unet", images, final="softmax")(noise(images))
    torch.testing.assert_close(((planes + 1) / 2).sum(1), torch.ones(2, 64, 64))


@pytest.mark.parametrize(
    ("name", "params", "multiple"),
    [
        ("smp_unet", {"channels": (64, 32, 16, 8, 8)}, 32),
        ("smp_unet", {"channels": (32, 16, 8)}, 8),
        ("smp_linknet", {}, 32),
        ("smp_deeplabv3_plus", {}, 16),
        ("smp_deeplabv3_plus", {"output_stride": 8}, 8),
        ("smp_dpt", {}, 32),
    ],
)
def test_sides_that_do_not_fit(name, params, multiple, build, spec):
    assert build(name, **params).multiple == multiple
    with pytest.raises(
        ComponentError, match=f"needs sides that are multiples of {multiple}, the images are 100 x 60"
    ) as raised:
        build(name, spec(100, 60), **params)
    height, width = (round(side / multiple) * multiple for side in (100, 60))
    assert f"{height} x {width}" in raised.value.remedy
    assert build(name, spec(height, width), **params).multiple == multiple


@pytest.mark.parametrize(
    ("name", "encoder", "reason"),
    [
        ("smp_linknet", "mit_b0", "not supported for Linknet"),
        ("smp_deeplabv3_plus", "densenet121", "do not support dilated mode"),
        ("smp_dpt", "resnet18", "smp_dpt needs timm's encoders, and resnet18 is not one"),
        ("smp_dpt", "tu-vit_small_patch14_dinov2", "patch size"),
    ],
)
def test_encoders_that_do_not_fit(name, encoder, reason, build):
    with pytest.raises(ComponentError, match=reason) as raised:
        build(name, encoder=encoder)
    assert raised.value.remedy


SLOW_TO_BUILD = pytest.param("mobileone_s0", marks=pytest.mark.long)


@pytest.mark.parametrize("encoder", ["tu-swin_tiny_patch4_window7_224", "mit_b0", SLOW_TO_BUILD, "vgg11"])
def test_encoders_of_other_families(encoder, build, spec):
    images = spec(64, 96, source=1)
    with torch.device("meta"):
        generator = build("smp_upernet", images, encoder=encoder)
        assert generator(torch.zeros(2, 1, 64, 96)).shape == (2, 3, 64, 96)


def test_a_transformer_sees_images_of_other_sizes(build):
    generator = build("smp_dpt").eval()
    with torch.no_grad():
        assert generator(torch.zeros(1, 3, 96, 160)).shape == (1, 3, 96, 160)


def test_parameters_that_nothing_depends_on_are_not_trained(build):
    generator = build("smp_linknet", encoder="efficientnet-b0")
    fixed = [name for name, parameter in generator.named_parameters() if not parameter.requires_grad]
    assert fixed == ["encoder._conv_head.weight", "encoder._bn1.weight", "encoder._bn1.bias"]


def test_attention_and_interpolation_change_the_network(build):
    plain, attentive = (
        sum(p.numel() for p in build("smp_unet", channels=(32, 32, 16), attention=a).parameters())
        for a in (None, "scse")
    )
    assert attentive > plain
    source = torch.rand(1, 3, 64, 64)
    fakes = []
    for interpolation in ("nearest", "bilinear", "bicubic"):
        torch.manual_seed(1)
        fakes.append(build("smp_unet", interpolation=interpolation).eval()(source))
    assert not torch.allclose(fakes[0], fakes[1])
    assert not torch.allclose(fakes[1], fakes[2])


def test_a_trial_draws_no_random_numbers(build):
    networks = []
    for _ in range(2):  # the first build may try the design, the second knows it
        torch.manual_seed(7)
        networks.append(build("smp_linknet").state_dict())
    assert all(torch.equal(weight, networks[1][name]) for name, weight in networks[0].items())
