"""Metrics on features of trained networks: arithmetic, published values, what they say of themselves."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import p2pkit
from p2pkit import ComponentError
from p2pkit.builtin.feature_scores import (
    INCEPTION,
    AbsoluteDistance,
    Diversity,
    Fidelity,
    FrechetDistance,
    extractor,
    kernel_distance_of,
)
from p2pkit.builtin.metrics import p2pkit_metrics
from p2pkit.engine.evaluation.metrics import update_metrics


@pytest.fixture(scope="module")
def real():
    """The folder of real weights and example images: P2PKIT_WEIGHTS, else shared/weights beside the project."""
    folder = Path(os.environ.get("P2PKIT_WEIGHTS") or Path(__file__).parents[3] / "shared" / "weights")
    if not (folder / "lpips_alexnet.safetensors").is_file():
        pytest.skip(f"there are no LPIPS weights in {folder}; name their folder in P2PKIT_WEIGHTS")
    return folder


@pytest.fixture
def looked_up(real, monkeypatch):
    monkeypatch.setenv("P2PKIT_WEIGHTS", str(real))
    return real


class Corners(nn.Module):
    """Eight numbers of an image, for metrics whose arithmetic is under test."""

    num_features = 8

    def __init__(self):
        super().__init__()
        self.register_buffer("mix", torch.randn(48, 8, generator=torch.Generator().manual_seed(1)))

    def forward(self, images):
        return images.reshape(len(images), -1) @ self.mix


def make(name, spec, side=32, **params):
    offered = {record.name: record for record in p2pkit_metrics()}
    return offered[name].build(spec(side), params)


def images(count, seed=0, shift=0.0):
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 0.3 + shift


def filled(metric, fake, target, batch=7):
    for start in range(0, len(fake), batch):
        metric.update(fake[start : start + batch], target[start : start + batch])
    return metric


def test_lpips_on_the_published_example(looked_up):
    """The example of LPIPS' authors: a reference, a blurred and a distorted copy."""
    reference = looked_up / "ex_ref.png"
    found = [round(p2pkit.score("lpips", looked_up / f"ex_{name}.png", reference), 3) for name in ("p0", "p1")]
    assert found == [0.722, 0.138]
    assert p2pkit.score("lpips", reference, reference) == 0


def test_lpips_is_the_mean_over_images(spec, real):
    metric = make("lpips", spec, weights=real / "lpips_alexnet.safetensors")
    target, fake = (torch.rand(5, 3, 32, 32) * 2 - 1 for _ in range(2))
    filled(metric, fake, target, batch=2)
    expected = torch.stack([metric.distance(f[None], t[None]).squeeze() for f, t in zip(fake, target, strict=True)])
    assert metric.compute().item() == pytest.approx(expected.mean().item(), abs=1e-6)


def test_the_weights_are_known_whatever_file_they_come_from(spec, real, tmp_path):
    from safetensors.torch import load_file

    state = load_file(real / "lpips_alexnet.safetensors")
    torch.save({key: value for key, value in state.items() if key.startswith("features")}, tmp_path / "bare.pth")
    one, same = (make("lpips", spec, weights=f) for f in (real / "lpips_alexnet.safetensors", tmp_path / "bare.pth"))
    assert one.protocol == same.protocol
    assert len(one.protocol["weights"]) == 12
    state["features.0.bias"] = state["features.0.bias"] + 1
    torch.save(state, tmp_path / "other.pth")
    assert make("lpips", spec, weights=tmp_path / "other.pth").protocol != one.protocol


def test_frechet_distance_equals_torch_fidelity():
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    fake, target = images(60, 1, 0.2), images(60, 2)
    metric = filled(FrechetDistance(Corners()), fake, target)
    features = (Corners()(each).double() for each in (fake, target))
    expected = fid_statistics_to_metric(*map(fid_features_to_statistics, features), verbose=False)
    value = next(value for key, value in expected.items() if "frechet" in key)
    assert value > 1
    assert metric.compute().item() == pytest.approx(value, rel=1e-5)


def test_kernel_distance_equals_torch_fidelity():
    from torch_fidelity.metric_kid import kid_features_to_metric

    fake, target = images(60, 1, 0.2), images(60, 2)
    metric = filled(kernel_distance_of(Corners(), subsets=100, subset_size=1000), fake, target)
    settings = {"kid_subsets": 1, "kid_subset_size": 60, "kid_degree": 3, "kid_gamma": None, "kid_coef0": 1}
    expected = kid_features_to_metric(Corners()(fake), Corners()(target), verbose=False, rng_seed=0, **settings)
    value = next(value for key, value in expected.items() if "mean" in key)
    assert abs(value) > 1e-3
    assert metric.compute().item() == pytest.approx(value, rel=1e-4)


def test_kernel_distance_over_subsets_is_repeatable_and_leaves_the_seed_alone():
    fake, target = images(60, 1, 0.2), images(60, 2)
    state = torch.get_rng_state()
    found = [
        filled(kernel_distance_of(Corners(), subsets=5, subset_size=20), fake, target).compute().item()
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert torch.equal(state, torch.get_rng_state())
    whole = filled(kernel_distance_of(Corners(), subsets=5, subset_size=60), fake, target).compute().item()
    assert found[0] != whole
    assert found[0] == pytest.approx(whole, rel=0.5)


@pytest.mark.parametrize("kind", [FrechetDistance, lambda features: kernel_distance_of(features, 2, 50)])
def test_too_few_images_are_told(kind):
    few, enough = filled(kind(Corners()), images(30), images(30)), filled(kind(Corners()), images(60), images(60))
    assert "30 images" in " ".join(few.warnings())
    assert list(enough.warnings()) == []
    one = filled(kind(Corners()), images(1), images(1))
    assert math.isnan(one.compute())
    assert list(one.warnings())


def test_diversity_is_the_mean_over_pairs_of_fakes():
    metric = Diversity(AbsoluteDistance(), 3)
    levels = torch.tensor([0.0, 1.0, 4.0]).view(1, 3, 1, 1, 1).expand(2, 3, 3, 4, 4)
    metric.update(levels)
    assert metric.compute().item() == pytest.approx((1 + 4 + 3) / 3)
    assert metric.wants == ("fakes",)
    assert metric.protocol == {}


@pytest.mark.parametrize("dropout", [True, False])
def test_diversity_of_a_generator_with_and_without_dropout(spec, dropout):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.5 if dropout else 0.0))
    metric = make("diversity", spec, 16, distance="l1")
    with torch.no_grad():
        update_metrics({"diversity": metric}, torch.rand(2, 3, 16, 16), torch.zeros(2, 3, 16, 16), network)
    assert (metric.compute() > 0) == dropout


def test_grey_images_are_shown_as_colour_ones():
    fake, target = images(20, 1)[:, :1], images(20, 2)[:, :1]
    grey = filled(FrechetDistance(Corners()), fake, target).compute()
    colour = filled(FrechetDistance(Corners()), fake.expand(-1, 3, -1, -1), target.expand(-1, 3, -1, -1)).compute()
    assert grey == colour


def test_features_of_a_classifier(looked_up):
    features = extractor("alexnet", None)
    seen = features(torch.rand(2, 3, 64, 64) * 2 - 1)
    assert seen.shape == (2, features.num_features) == (2, 256)
    assert not any(weight.requires_grad for weight in features.parameters())


def test_features_that_were_registered(monkeypatch):
    from torch_fidelity import registry
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Levels(FeatureExtractorBase):
        def __init__(self, name, features_list, **_):
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return ("mean",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "mean"

        def forward(self, images):
            assert images.dtype == torch.uint8
            return (images.float().mean((2, 3)),)

    monkeypatch.setitem(registry.FEATURE_EXTRACTORS_REGISTRY, "levels", Levels)
    features = extractor("levels", None)
    assert isinstance(features, Fidelity)
    assert features.num_features == 3
    assert features(torch.full((1, 3, 4, 4), 1.0)).tolist() == [[255.0] * 3]


def test_features_that_there_are_not():
    with pytest.raises(ComponentError, match="there are no features 'alex'") as raised:
        extractor("alex", None)
    assert "alexnet" in raised.value.remedy
    assert raised.value.parameter == "features"
    with pytest.raises(ComponentError):  # by their own name only
        extractor("inception-v3-compat", None)


def test_weights_of_inception_offline(spec, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("the network is down")

    monkeypatch.setattr("torch.hub.urlopen", fail)
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    monkeypatch.delenv("P2PKIT_WEIGHTS", raising=False)
    for name in ("fid", "kid"):
        with pytest.raises(ComponentError, match="not on this machine") as raised:
            make(name, spec)
        for part in (
            "weights-inception-2015-12-05-6726825d.pth",
            "sha256 6726825d...",
            str(tmp_path),
            INCEPTION.address,
        ):
            assert part in raised.value.remedy
    (tmp_path / "wrong.pth").write_bytes(b"no weights")
    with pytest.raises(ComponentError, match="is damaged or incomplete"):
        make("fid", spec, weights=tmp_path / "wrong.pth")
    torch.save({"x": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ComponentError, match="does not hold these weights"):
        make("fid", spec, weights=tmp_path / "other.pth")


@pytest.mark.slow
def test_fid_is_torch_fidelitys_on_the_same_weights(spec, tmp_path, monkeypatch):
    """With weights of no use: what is compared is the way from images to the value.

    Both ask for the 2048 eigenvalues of a product that 5 images span; here they get the few that are not zero.
    """
    import torch_fidelity
    from torch.utils.data import TensorDataset
    from torch_fidelity import feature_extractor_inceptionv3 as module

    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(nn.Module, "load_state_dict", lambda *_, **__: None)
        network = module.FeatureExtractorInceptionV3("fid", ["2048"])
    torch.save(network.state_dict(), tmp_path / "random.pth")
    dice, whole = np.random.default_rng(0), np.linalg.eigvals

    def eigenvalues(product):
        basis = np.linalg.qr(product @ dice.normal(size=(2048, 8)))[0]
        return whole(basis.T @ product @ basis)

    monkeypatch.setattr(np.linalg, "eigvals", eigenvalues)
    monkeypatch.setattr(torch.linalg, "eigvals", lambda product: torch.from_numpy(eigenvalues(product.numpy())) + 0j)
    first, second = (torch.from_numpy(dice.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)) for _ in range(2))
    metric = make("fid", spec, weights=tmp_path / "random.pth")
    metric.update(first / 127.5 - 1, second / 127.5 - 1)

    class Images(TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)[0]

    values = torch_fidelity.calculate_metrics(
        input1=Images(first), input2=Images(second), fid=True, cuda=False, verbose=False, cache=False,
        save_cpu_ram=True, feature_extractor_weights_path=str(tmp_path / "random.pth"),
    )  # fmt: skip
    assert metric.compute().item() == pytest.approx(values["frechet_inception_distance"], rel=1e-3)


def test_label_maps_are_refused(spec):
    with pytest.raises(ComponentError, match="fid compares pictures of 1 or 3 channels, the target has 5 channels"):
        {record.name: record for record in p2pkit_metrics()}["fid"].build(spec(32, target=5), {})


@pytest.mark.parametrize("name", ["frechet_distance", "kernel_distance"])
@pytest.mark.parametrize(("features", "least"), [("alexnet", 63), ("vgg16", 32)])
def test_images_too_small_for_the_features(spec, looked_up, name, features, least):
    seen = make(name, spec, least, features=features).inception(torch.zeros(1, 3, least, least))
    assert seen.shape[0] == 1
    with pytest.raises(ComponentError, match=f"needs sides of at least {least}"):
        make(name, spec, least - 1, features=features)
