"""Fixtures: images, generators by name, a tiny latent model, a folder to run in."""

from __future__ import annotations

import pytest
import torch
from p2pkit import ImageSpec, PairSpec, VectorSpec

import p2pkit_diffusers

SMALL = {"channels": (8, 16), "layers": 1, "norm_groups": 4}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The folder of a tiny latent model."""
    return p2pkit_diffusers.save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def build():
    """Build a generator by its name, for images of any channels, with a class beside them."""
    offers = {offer.name: offer for offer in p2pkit_diffusers.p2pkit_generators()}

    def make(name, *, source=3, target=3, size=(16, 24), **params):
        images = PairSpec(ImageSpec(source), ImageSpec(target), *size, extras={"season": VectorSpec(3, "class")})
        return offers[name].build(images, params if "model" in params else {**SMALL, **params})

    return make


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, without MLflow."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
