"""Fixtures: small scenes with a place on earth, and a folder to run in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from p2pkit.registry import load_registry
from rasterio import Affine

PLACE = Affine(10, 0, 500_000, 0, -10, 5_400_000)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def raster(tmp_path) -> Callable[..., Path]:
    """Write values (C, H, W) as a GeoTIFF of 10 m in UTM."""

    def write(name: str, values: np.ndarray, *, names: tuple[str, ...] = (), **more: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        count, height, width = values.shape
        shape = {"count": count, "height": height, "width": width, "dtype": values.dtype.name}
        with rasterio.open(path, "w", "GTiff", **{"crs": "EPSG:32632", "transform": PLACE, **shape, **more}) as file:
            file.write(values)
            for number, text in enumerate(names, 1):
                file.set_band_description(number, text)
        return path

    return write


@pytest.fixture
def scene(raster) -> tuple[Path, Path]:
    """Three bands in 16 bits, whose first 16 columns hold nothing, and a target of three bytes; 128 x 96."""
    dice = np.random.default_rng(0)
    values = dice.integers(100, 3000, (3, 96, 128)).astype(np.uint16) * np.array([1, 2, 3], np.uint16)[:, None, None]
    values[:, :, :16] = 0
    target = (np.minimum(values // 36, 255)).astype(np.uint8)
    return raster("source.tif", values, names=("blue", "green", "red"), nodata=0), raster("target.tif", target)


@pytest.fixture
def names(tmp_path):
    """The names in force, without MLflow."""
    file = tmp_path / "registry.yaml"
    file.write_text("plugins: {block: [p2pkit.mlflow]}\n")
    return load_registry(file)
