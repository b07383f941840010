"""What holds of the losses whatever their weights are."""

from __future__ import annotations

import pytest
import torch
from p2pkit_perceptual.dists import Dists
from p2pkit_perceptual.frequency import FocalFrequency
from p2pkit_perceptual.lpips import Lpips
from p2pkit_perceptual.vgg import PIX2PIXHD, Vgg

from p2pkit import ComponentError

FROZEN = ("vgg16", "vgg19", "lpips_alexnet", "lpips_vgg16", "dists")


@pytest.fixture(params=[*FROZEN, "focal_frequency"])
def loss(request, spec, random_weights):
    return made(request.param, spec(), random_weights)


def made(name, images, random_weights):
    """Build a loss with random weights."""
    match name:
        case "vgg16" | "vgg19":
            return Vgg(images, network=name, weights=random_weights(name))
        case "lpips_alexnet" | "lpips_vgg16":
            network = name.removeprefix("lpips_")
            return Lpips(images, network=network, weights=random_weights(network))
        case "dists":
            return Dists(images, weights=random_weights("vgg16"))
    return FocalFrequency(images)


@pytest.fixture
def images():
    torch.manual_seed(3)
    return torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(2, 3, 64, 64) * 2 - 1


def test_equal_images_cost_nothing(loss, view, images):
    assert loss.generator(view(images[0], images[0].clone())).item() == pytest.approx(0, abs=2e-6)
    assert loss.generator(view(*images)).item() > 1e-3


def test_the_gradient_reaches_the_fake_alone(loss, view, images):
    target, fake = (image.requires_grad_() for image in images)
    value = loss.generator(view(target, fake))
    value.backward()
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert fake.grad.isfinite().all()
    assert (fake.grad.abs().amax((1, 2, 3)) > 0).all()
    assert target.grad is None


def test_the_gradient_is_finite_where_images_are_equal(loss, view, images):
    fake = images[0].clone().requires_grad_()
    loss.generator(view(images[0], fake)).backward()
    assert fake.grad.isfinite().all()


def test_a_step_down_the_gradient_brings_the_fake_closer(loss, view, images):
    target, fake = images[0], images[1].requires_grad_()
    before = loss.generator(view(target, fake))
    (gradient,) = torch.autograd.grad(before, fake)
    assert loss.generator(view(target, fake.detach() - 0.5 * gradient / gradient.norm())) < before


def test_images_of_half_precision(loss, view, images):
    value = loss.generator(view(images[0], images[1].bfloat16()))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss.generator(view(*images)), rtol=0.05, atol=0)


@pytest.mark.parametrize("name", FROZEN)
def test_grey_images_are_shown_as_colour_ones(name, spec, view, random_weights, images):
    loss = made(name, spec(1), random_weights)
    grey = [image[:, :1] for image in images]
    colour = [image.expand(-1, 3, -1, -1) for image in grey]
    assert torch.equal(loss.generator(view(*grey)), loss.generator(view(*colour)))


@pytest.mark.parametrize("name", FROZEN)
def test_nothing_of_the_network_is_trained_or_changes(name, spec, random_weights):
    loss = made(name, spec(), random_weights)
    assert not any(weight.requires_grad for weight in loss.parameters())
    loss.train()
    assert not any(module.training for module in loss.modules())
    assert all(t.device.type == "cpu" for t in (*loss.parameters(), *loss.buffers()))


@pytest.mark.parametrize("name", [*FROZEN, "focal_frequency"])
def test_on_the_meta_device_only_shapes_are_looked_at(name, spec, view, random_weights):
    with torch.device("meta"):
        loss = made(name, spec(), random_weights)
        batch = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
        value = loss.generator(view(*batch))
    assert value.is_meta
    assert value.shape == ()


@pytest.mark.parametrize("name", FROZEN)
@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"channels": 2}, "compares pictures of 1 or 3 channels, the target has 2 channels"),
        ({"channels": 3, "kind": "labels"}, "the target has labels of 3 classes"),
        ({"height": 8}, "needs sides of at least (16|31), the images are 8 x 64"),
    ],
)
def test_images_that_do_not_suit(name, spec, random_weights, wrong, cause):
    with pytest.raises(ComponentError, match=cause):
        made(name, spec(**wrong), random_weights)


@pytest.mark.parametrize(("name", "least"), [("vgg16", 16), ("lpips_alexnet", 31), ("lpips_vgg16", 16), ("dists", 16)])
def test_the_smallest_images_work(name, least, spec, view, random_weights):
    loss = made(name, spec(3, least, least), random_weights)
    torch.manual_seed(0)
    assert loss.generator(view(torch.rand(1, 3, least, least), torch.rand(1, 3, least, least))).isfinite()


def test_vgg_layers_that_do_not_exist(spec, random_weights):
    with pytest.raises(ComponentError, match="vgg16 has no layer 'relu3_4'") as raised:
        Vgg(spec(), network="vgg16", layers={"relu3_4": 1.0}, weights=random_weights("vgg16"))
    assert "relu3_3, relu4_1" in raised.value.remedy
    assert raised.value.parameter == "layers"


def test_vgg_runs_no_further_than_its_deepest_layer(spec, random_weights):
    file = random_weights("vgg16")
    assert len(Vgg(spec(3, 8, 8), network="vgg16", layers={"relu3_3": 1.0}, weights=file).features) == 16
    assert len(Vgg(spec(), network="vgg16", layers=PIX2PIXHD, weights=file).features) == 26


def test_vgg_sees_images_as_pix2pixhds_code_shows_them_where_asked(spec, view, random_weights, images):
    file, layers = random_weights("vgg16"), {"relu1_1": 1.0}
    plain = Vgg(spec(), network="vgg16", layers=layers, standardise=False, weights=file)
    weight, bias = (torch.load(file)[f"features.0.{kind}"] for kind in ("weight", "bias"))
    target, fake = (torch.conv2d(image, weight, bias, padding=1).relu() for image in images)
    torch.testing.assert_close(plain.generator(view(*images)), (target - fake).abs().mean())


def wave(frequency, size=16):
    """A cosine along the rows, the same in each of them."""
    return torch.cos(2 * torch.pi * frequency * torch.arange(size) / size).expand(1, 1, size, size)


def test_focal_frequency_of_waves(spec, view):
    """A wave of amplitude a has two coefficients of a / 2 times the square root of the number of pixels."""
    target, fake = torch.zeros(1, 1, 16, 16), wave(3) + 0.5 * wave(5)
    strong, weak = (256 * (amplitude / 2) ** 2 for amplitude in (1.0, 0.5))
    images = spec(1, 16, 16)
    for params, factor in (({}, 0.5), ({"alpha": 0.0}, 1.0), ({"alpha": 2.0}, 0.25)):
        expected = 2 * (strong + factor * weak) / 256
        assert FocalFrequency(images, **params).generator(view(target, fake)).item() == pytest.approx(
            expected, rel=1e-4
        )
    softened = torch.log1p(torch.tensor([weak, strong]).sqrt())
    expected = 2 * (strong + weak * softened[0] / softened[1]) / 256
    value = FocalFrequency(images, logarithm=True).generator(view(target, fake))
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=0)


def test_focal_frequency_over_the_batch(spec, view):
    """A weaker image's spectrum counts less where factors are the batch's, and not at all where it cancels out."""
    target, fake = torch.zeros(2, 1, 16, 16), torch.cat([wave(3), -0.5 * wave(3)])
    each, batch, mean = (
        FocalFrequency(spec(1, 16, 16), **params).generator(view(target, fake)).item()
        for params in ({}, {"over_batch": True}, {"average": True})
    )
    assert each == pytest.approx((0.5 + 0.125) / 2, rel=1e-4)
    assert batch == pytest.approx((0.5 + 0.125 * 0.5) / 2, rel=1e-4)
    assert mean == pytest.approx(0.5 * 0.25**2, rel=1e-4)


def test_focal_frequency_of_parts(spec, view):
    """A difference in one quarter leaves the other quarters' spectra alone."""
    target = torch.zeros(1, 1, 16, 24)
    fake = target.clone()
    fake[..., :8, 12:] = 1
    value = FocalFrequency(spec(1, 16, 24), patches=2).generator(view(target, fake))
    assert value.item() == pytest.approx(0.25)  # a constant's only coefficient holds all of its energy
    with pytest.raises(ComponentError, match="16 x 24 can't be cut into 3 parts"):
        FocalFrequency(spec(1, 16, 24), patches=3)
