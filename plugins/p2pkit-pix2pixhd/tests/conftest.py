"""Fixtures: images, checkpoints, a little street data, a folder to run in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from p2pkit import ImageSpec, PairSpec
from PIL import Image
from safetensors.torch import save_file

from p2pkit_pix2pixhd import GlobalGenerator, LocalGenerator

DESIGN = {"halvings": 2, "blocks": 2}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def spec() -> Callable[..., PairSpec]:
    def make(height: int, width: int | None = None, *, source: int = 3, target: int = 3) -> PairSpec:
        return PairSpec(ImageSpec(source), ImageSpec(target), height, width or height)

    return make


@pytest.fixture
def coarse(spec) -> Callable[..., GlobalGenerator]:
    """A small global generator for images of 16 x 16 and more."""
    return lambda **params: GlobalGenerator(spec(16), **{"width": 4, **DESIGN, **params})


@pytest.fixture
def fine(spec) -> Callable[..., LocalGenerator]:
    """The local generator around it."""
    return lambda **params: LocalGenerator(spec(32), **{"width": 2, "local_blocks": 1, **DESIGN, **params})


@pytest.fixture
def checkpoint(tmp_path) -> Callable[..., Path]:
    """Write a network's weights as a p2pkit checkpoint holds them; returns its folder."""

    def write(network: torch.nn.Module, name: str = "run/checkpoints/step-00000001") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        save_file({key: value.contiguous() for key, value in network.state_dict().items()},
                  folder / "generator.safetensors")  # fmt: skip
        return folder

    return write


@pytest.fixture
def streets(tmp_path) -> Path:
    """Label maps, instance maps and photos of four classes in the places where Cityscapes has them; 128 x 64."""
    root = tmp_path / "cityscapes"
    dice = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            cells = dice.integers(0, 4, (4, 8))
            labels = cells.repeat(16, 0).repeat(16, 1)
            instances = labels * 1000 + np.arange(32).reshape(4, 8).repeat(16, 0).repeat(16, 1)
            photo = np.stack([labels * 60, labels * 20, 255 - labels * 60], -1)
            name = f"town/town_{number}"
            _save(labels.astype(np.uint8), root / f"gtFine/{split}/{name}_gtFine_labelIds.png")
            _save(instances.astype(np.uint16), root / f"gtFine/{split}/{name}_gtFine_instanceIds.png")
            _save(photo.astype(np.uint8), root / f"leftImg8bit/{split}/{name}_leftImg8bit.png")
    return root


def _save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Work in an empty folder, without MLflow."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
