"""Metrics: known values, and merging."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

from p2pkit import ComponentError
from p2pkit.builtin import metrics

NAMES = ["l1", "psnr", "ssim"]


def make(name, spec, side=16, **channels):
    offered = {record.name: record for record in metrics.p2pkit_metrics()}
    return offered[name].build(spec(side, **channels), {})


def images(count=4, channels=3, side=16):
    return torch.empty(count, channels, side, side).uniform_(-1, 1)


def value(metric, fake, target):
    metric.update(fake, target)
    return metric.compute().item()


def test_equal_images(spec):
    target = images()
    found = {name: value(make(name, spec), target.clone(), target) for name in NAMES}
    assert found == {"l1": 0, "psnr": math.inf, "ssim": pytest.approx(1, abs=1e-5)}


def test_black_against_white(spec):
    white = torch.ones(2, 3, 16, 16)
    found = {name: value(make(name, spec), -white, white) for name in NAMES}
    # of flat images, SSIM is the luminance term (2 x y + c) / (x^2 + y^2 + c) with c = 0.01^2
    assert found == {"l1": 2, "psnr": pytest.approx(0, abs=1e-6), "ssim": pytest.approx(1e-4 / (1 + 1e-4), rel=1e-3)}


def test_a_plain_shift(spec):
    target = images() * 0.5
    assert value(make("l1", spec), target + 0.2, target) == pytest.approx(0.2, abs=1e-6)
    assert value(make("psnr", spec), target + 0.2, target) == pytest.approx(20, abs=1e-4)


def test_ssim_is_that_of_pictures_from_zero_to_one(spec):
    from torchmetrics.functional.image import structural_similarity_index_measure

    dark = images() * 0.1 - 0.9
    fake = dark + 0.05 * torch.randn_like(dark)
    expected = structural_similarity_index_measure((fake + 1) / 2, (dark + 1) / 2, data_range=1.0)
    assert value(make("ssim", spec), fake, dark) == pytest.approx(expected.item(), abs=1e-6)


def test_psnr_is_the_mean_over_images(spec):
    target = torch.zeros(2, 3, 16, 16)
    fake = torch.stack([target[0] + 0.2, target[1] + 0.02])
    assert value(make("psnr", spec), fake, target) == pytest.approx((20 + 40) / 2, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_halves_merge_to_the_whole(spec, name):
    fake, target = images(6), images(6)
    whole, first, second = (make(name, spec) for _ in range(3))
    whole.update(fake, target)
    first.update(fake[:2], target[:2])
    second.update(fake[2:], target[2:])
    first.merge_state(second)
    assert first.compute().item() == pytest.approx(whole.compute().item(), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_metrics_travel_between_processes(spec, name):
    fake, target = images(2), images(2)
    metric = make(name, spec)
    metric.update(fake, target)
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.compute()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_channels_and_memory_formats(spec, name, channels):
    fake, target = images(2, channels, 11), images(2, channels, 11)
    plain = value(make(name, spec, 11), fake, target)
    last = value(make(name, spec, 11), fake.to(memory_format=torch.channels_last), target)
    assert math.isfinite(plain)
    assert last == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_worse_fakes_score_worse(spec, name):
    target = images() * 0.5
    noise = torch.randn_like(target)
    near, far = (value(make(name, spec), target + share * noise, target) for share in (0.05, 0.3))
    assert (near > far) == make(name, spec).higher_is_better


def test_which_direction_is_better(spec):
    assert {name: make(name, spec).higher_is_better for name in NAMES} == {"l1": False, "psnr": True, "ssim": True}


def test_ssim_of_images_smaller_than_a_window(spec):
    with pytest.raises(ComponentError, match="the images are 10 x 10") as raised:
        make("ssim", spec, 10)
    assert raised.value.remedy == "leave ssim out, or use larger images"


def test_ms_ssim_is_that_of_pictures_from_zero_to_one(spec):
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    target = torch.nn.functional.interpolate(images(2, side=22), size=(176, 176), mode="bilinear") * 0.5
    fake = target + 0.1 * torch.randn_like(target)
    expected = multiscale_structural_similarity_index_measure((fake + 1) / 2, (target + 1) / 2, data_range=1.0)
    assert 0.2 < expected < 0.99
    assert value(make("ms_ssim", spec, 176), fake, target) == pytest.approx(expected.item(), abs=1e-6)
    assert value(make("ms_ssim", spec, 176), target.clone(), target) == pytest.approx(1, abs=1e-5)


def test_ms_ssim_of_images_smaller_than_a_window_at_the_last_scale(spec):
    with pytest.raises(ComponentError, match="at 5 scales, so sides of 176, the images are 175 x 175") as raised:
        make("ms_ssim", spec, 175)
    assert raised.value.remedy == "leave ms_ssim out, or use larger images"
