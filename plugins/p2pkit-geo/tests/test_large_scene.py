"""The example of a scene larger than memory, with a smaller scene that is read by rows all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

EXAMPLE = Path(__file__).parents[1] / "examples" / "large_scene.py"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_scene_goes_from_training_to_onnxruntime(tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    command = [sys.executable, str(EXAMPLE), str(tmp_path), "--side", "3000", "--size", "64", "--steps", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with rasterio.open(tmp_path / "scene.tif") as scene, rasterio.open(tmp_path / "fake.tif") as fake:
        assert (fake.crs, fake.transform, fake.shape) == (scene.crs, scene.transform, scene.shape)
        assert fake.overviews(1) == scene.overviews(1) == [2, 4]
        assert np.ptp(fake.read(out_shape=(3, 100, 100))) > 20
