"""The rules that every component of p2pkit keeps, at sizes for tests."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import rasterio
import torch
from p2pkit.testing import conformance
from rasterio import Affine


class Stripes:
    """Stands for a data set of torchgeo, where that is not installed."""

    def __init__(self, *, split: str = "train") -> None:
        self.split = split

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, object]:
        tone = (index + len(self) * ("train", "val", "test").index(self.split)) / 20
        return {"image": torch.full((3, 16, 16), tone), "mask": torch.full((1, 16, 16), 1 - tone)}


try:
    import torchgeo.datasets as _torchgeo
except ImportError:
    sys.modules["torchgeo"] = ModuleType("torchgeo")
    sys.modules["torchgeo.datasets"] = _torchgeo = ModuleType("torchgeo.datasets")
_torchgeo.Stripes = Stripes

_FOLDER = tempfile.TemporaryDirectory(prefix="p2pkit-geo-")
_DICE = np.random.default_rng(0)
for _name in ("source", "target"):
    _values = _DICE.integers(1, 256, (3, 96, 96), dtype=np.uint8)
    _values[:, :8] = 0
    _shape = {"count": 3, "height": 96, "width": 96, "dtype": "uint8", "nodata": 0}
    _place = {"crs": "EPSG:32632", "transform": Affine(10, 0, 0, 0, -10, 0)}
    with rasterio.open(Path(_FOLDER.name, f"{_name}.tif"), "w", "GTiff", **_shape, **_place) as _file:
        _file.write(_values)

TestGeo = conformance(
    "geo",
    examples={
        "geo_tiles": {
            "source": f"{_FOLDER.name}/source.tif",
            "target": f"{_FOLDER.name}/target.tif",
            "size": 16,
            "block": 32,
        },
        "torchgeo_pairs": {"name": "Stripes"},
    },
)
