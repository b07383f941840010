"""Files of the tests of data sets, drawn when asked for."""

import zipfile

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def save(tmp_path):
    """Write an image of noise, or of what is given; returns the array (H, W) or (H, W, C)."""

    def write(name, array=None, *, size=(16, 16), channels=3):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if array is None:
            seed = [ord(letter) for letter in name]
            array = np.random.default_rng(seed).integers(0, 256, (*size, channels)).astype(np.uint8)
            array = array[..., 0] if channels == 1 else array
        if path.suffix == ".npy":
            np.save(path, array)
        else:
            Image.fromarray(array).save(path)
        return array

    return write


@pytest.fixture
def zipped(tmp_path):
    """Pack a folder into an archive, below `top` in it."""

    def pack(folder, top=""):
        path = tmp_path / "packed.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                archive.write(file, f"{top}{file.relative_to(folder).as_posix()}")
        return path

    return pack
