"""Fixtures: images with noise beside them, and a folder to run in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from p2pkit import ImageSpec, PairSpec, VectorSpec


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def spec() -> Callable[..., PairSpec]:
    def make(side: int, *, source: int = 3, target: int = 3, noise: int = 8) -> PairSpec:
        return PairSpec(ImageSpec(source), ImageSpec(target), side, side, extras={"z": VectorSpec(noise, "noise")})

    return make


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Work in an empty folder, without MLflow."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
