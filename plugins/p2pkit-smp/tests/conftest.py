"""Fixtures: images, generators by name, a network that is down, a folder to run in."""

from __future__ import annotations

import p2pkit_smp
import pytest
import torch

from p2pkit import ImageSpec, PairSpec

SMALL = {
    "smp_unet": {"channels": (32, 16, 8)},
    "smp_unet_plus_plus": {"channels": (32, 16, 8)},
    "smp_manet": {"channels": (32, 16, 8), "attention_channels": 8},
    "smp_linknet": {},
    "smp_fpn": {"pyramid_channels": 32, "channels": 32},
    "smp_deeplabv3_plus": {"channels": 32},
    "smp_upernet": {"channels": 32},
    "smp_segformer": {"channels": 32},
    "smp_dpt": {"channels": 32, "encoder": "tu-test_vit"},
}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def spec():
    """What a run's images are."""

    def make(height=64, width=None, *, source=3, target=3, kind="intensity"):
        return PairSpec(ImageSpec(source), ImageSpec(target, kind=kind), height, width or height)

    return make


@pytest.fixture
def build(spec):
    """Build a generator by its name, with a small encoder and a narrow decoder."""
    offers = {offer.name: offer for offer in p2pkit_smp.p2pkit_generators()}

    def make(name, images=None, **params):
        return offers[name].build(images or spec(), {"encoder": "tu-resnet10t", **SMALL[name], **params})

    return make


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Forbid the libraries' download, and give them an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, without MLflow."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
