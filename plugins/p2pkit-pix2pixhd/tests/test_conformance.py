"""The rules that every component of p2pkit keeps, at sizes for tests."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from p2pkit.testing import conformance
from PIL import Image

_FOLDER = tempfile.TemporaryDirectory(prefix="p2pkit-pix2pixhd-")
_DICE = np.random.default_rng(0)
for _number in range(12):
    for _place, _array in (
        ("labels", _DICE.integers(0, 4, (24, 32), dtype=np.uint8)),
        ("instances", _DICE.integers(0, 9, (24, 32), dtype=np.uint8)),
        ("photos", _DICE.integers(0, 256, (24, 32, 3), dtype=np.uint8)),
    ):
        _path = Path(_FOLDER.name, "train", _place, f"{_number:02}.png")
        _path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_array).save(_path)

TestPix2PixHD = conformance(
    "pix2pixhd",
    examples={
        "pix2pixhd_global": {"width": 4, "halvings": 3, "blocks": 2},
        "pix2pixhd_local": {"width": 4, "halvings": 2, "blocks": 2, "local_blocks": 2},
        "labels_with_edges": {"root": _FOLDER.name, "classes": 4},
    },
    long=("pix2pixhd_global", "pix2pixhd_local-compile"),  # which is inside of the local one
)
