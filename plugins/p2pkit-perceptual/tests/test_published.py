"""The losses' values with real weights, against those that others published or compute."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from p2pkit_perceptual.dists import Dists
from p2pkit_perceptual.lpips import Lpips
from p2pkit_perceptual.vgg import Vgg

from p2pkit import ImageSpec, classifier_features, read_image, to_network


@pytest.fixture(scope="module")
def pictures(real):
    """The example of LPIPS' authors: a reference, a blurred and a distorted copy."""
    return [to_network(read_image(real / f"ex_{name}.png")[None], ImageSpec(3)) for name in ("ref", "p0", "p1")]


@pytest.mark.parametrize(("network", "values"), [("alexnet", (0.7219, 0.1376)), ("vgg16", (0.5686, 0.4217))])
def test_lpips(spec, view, real, pictures, network, values):
    loss = Lpips(spec(), network=network, weights=real / f"lpips_{network}.safetensors")
    reference, *others = pictures
    assert [loss.generator(view(reference, other)).item() for other in others] == pytest.approx(values, abs=5e-5)
    assert loss.generator(view(reference, reference)).item() == 0


def test_lpips_heads_of_the_file_and_of_torchmetrics_agree(spec, view, real, pictures, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(real / "lpips_alexnet.safetensors")
    save_file(
        {name: weight for name, weight in state.items() if name.startswith("features")}, tmp_path / "bare.safetensors"
    )
    losses = [
        Lpips(spec(), network="alexnet", weights=file)
        for file in (tmp_path / "bare.safetensors", real / "lpips_alexnet.safetensors")
    ]
    first, second = (loss.generator(view(pictures[0], pictures[1])).item() for loss in losses)
    assert first == pytest.approx(second, abs=1e-6)


def test_dists_as_torchmetrics_computes_it(spec, view, real, pictures, monkeypatch):
    from torchmetrics.functional.image import dists

    file = real / "lpips_vgg16.safetensors"
    features = classifier_features("vgg16", file)
    monkeypatch.setattr(dists, "vgg16", lambda weights: SimpleNamespace(features=features))
    reference = dists.DISTSNetwork()
    loss = Dists(spec(), weights=file)
    target, *fakes = pictures
    for fake in (*fakes, torch.cat(fakes)):
        several = target.expand(len(fake), -1, -1, -1)
        expected = reference((fake + 1) / 2, (several + 1) / 2, require_grad=True).mean()
        torch.testing.assert_close(loss.generator(view(several, fake)), expected, atol=1e-5, rtol=1e-5)


def test_vgg_by_hand(spec, view, real, pictures):
    file = real / "lpips_vgg16.safetensors"
    loss = Vgg(spec(), network="vgg16", layers={"relu1_1": 2.0, "relu1_2": 0.5}, distance="l2", weights=file)
    features = classifier_features("vgg16", file)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    seen = []
    for image in pictures[:2]:
        first = features[0]((image + 1) / 2 / std - mean / std).relu()
        seen.append((first, features[2](first).relu()))
    expected = 2 * (seen[0][0] - seen[1][0]).square().mean() + 0.5 * (seen[0][1] - seen[1][1]).square().mean()
    torch.testing.assert_close(loss.generator(view(*pictures[:2])), expected, rtol=1e-4, atol=0)


def test_vgg_grows_with_the_noise(spec, view, real, pictures):
    """A little noise is nearer than much of it."""
    loss = Vgg(spec(), network="vgg16", weights=real / "lpips_vgg16.safetensors")
    torch.manual_seed(0)
    noise = torch.randn_like(pictures[0])
    distances = [loss.generator(view(pictures[0], pictures[0] + share * noise)) for share in (0.02, 0.1, 0.4)]
    assert distances[0] < distances[1] < distances[2]
