"""OpenEXR files."""

from __future__ import annotations

import io
import sys

import pytest
import torch

from p2pkit.images.files import read_image, suffix_for, write_image
from p2pkit.types import ImageSpec


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_floats_come_back_as_they_were(tmp_path, channels):
    pytest.importorskip("OpenEXR")
    image = torch.rand(channels, 7, 5, generator=torch.Generator().manual_seed(0)) * 100 - 20
    assert write_image(image, tmp_path / "a.exr") == tmp_path / "a.exr"
    assert torch.equal(read_image(tmp_path / "a.exr"), image)


def test_only_floats_are_written_so():
    assert suffix_for(ImageSpec(3, low=-1.0, high=9.0), ".exr") == ".exr"
    assert suffix_for(ImageSpec(3), ".exr") == ".npy"


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(OSError, match=r"pip install 'p2pkit\[exr\]'"):
        read_image(io.BytesIO(b"v/1\x01" + bytes(99)))
