"""TIFFs: where on earth they lie."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tifffile

from p2pkit import read_image
from p2pkit.images.tiff import read_georeference, rescaled, write_tiff


def test_rational_polynomials_are_kept_and_go_along_with_the_size(tmp_path):
    numbers = tuple(float(number) for number in range(92))
    with (tmp_path / "a.tif").open("wb") as file:
        write_tiff(file, np.zeros((4, 6, 1), np.uint8), [(50844, 12, 92, numbers, True)])
    ((code, kind, count, value, once),) = read_georeference(tmp_path / "a.tif")
    assert (code, kind, count, value, once) == (50844, 12, 92, numbers, True)
    ((_, _, _, smaller, _),) = rescaled([(code, kind, count, value, once)], 2.0, 4.0)
    assert (smaller[2], smaller[7], smaller[3], smaller[8]) == (1.0, 3.5, 0.75, 2.0)  # lines by 2, samples by 4
    assert smaller[4:7] == numbers[4:7]
    assert smaller[9:] == numbers[9:]


def test_tiles_that_can_not_be_take_no_memory(tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((16, 16, 3), np.uint8), compression="lzw", tile=(16, 16), photometric="rgb")
    with tifffile.TiffFile(file) as tiff:
        place = tiff.pages.first.tags[323].offset
    content = bytearray(file.read_bytes())
    content[place + 2 : place + 12] = struct.pack("<HII", 4, 1, 3808428048)  # one whole number of 32 bits
    file.write_bytes(content)
    with pytest.raises(OSError, match="more than the"):
        read_image(file)
