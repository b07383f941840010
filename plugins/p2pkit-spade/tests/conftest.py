"""Fixtures: label maps with vectors beside them, and a folder to run in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from p2pkit import ImageSpec, PairSpec, VectorSpec
from PIL import Image


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def spec() -> Callable[..., PairSpec]:
    def make(height: int, width: int | None = None, *, classes: int = 3, **vectors: int) -> PairSpec:
        extras = {name: VectorSpec(size, "noise") for name, size in vectors.items()}
        return PairSpec(ImageSpec(classes, kind="labels"), ImageSpec(3), height, width or height, extras=extras)

    return make


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Work in an empty folder, without MLflow."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def streets(here) -> Path:
    """Label maps of three classes and photos that follow them, 32 x 32."""
    dice = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            labels = dice.integers(0, 3, (4, 4), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            photo = np.stack([labels * 100, labels * 20, 255 - labels * 90], -1)
            for folder, array in (("labels", labels), ("A", photo)):
                path = here / "streets" / folder / split / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    return here / "streets"
