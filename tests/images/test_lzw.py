"""TIFFs packed by LZW, whole ones and damaged ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tifffile

from p2pkit import read_image
from p2pkit.images.tiff_windows import TiffRows

CLEAR, END = 256, 257


def packed(*codes: int) -> bytes:
    """Write codes of nine bits, the first one highest."""
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-len(bits) % 8 + len(bits), "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.fixture
def damaged(tmp_path):
    """Replace the only strip of a TIFF by some codes."""

    def write(*codes):
        file = tmp_path / "a.tif"
        tifffile.imwrite(file, np.zeros((4, 4), np.uint8), compression="lzw")
        with tifffile.TiffFile(file) as tiff:
            offsets, sizes = (tiff.pages.first.tags[code].valueoffset for code in (273, 279))
        content, strip = bytearray(file.read_bytes()), packed(*codes)
        content[offsets : offsets + 4] = struct.pack("<I", len(content))
        content[sizes : sizes + 2] = struct.pack("<H", len(strip))
        file.write_bytes(content + strip)
        return file

    return write


def test_what_a_stream_says_is_what_is_read(damaged):
    file = damaged(CLEAR, *range(7), CLEAR, *range(9), END)
    assert read_image(file).flatten().tolist() == [*range(7), *range(9)]


@pytest.mark.parametrize("codes", [(CLEAR, 300), (CLEAR, 65, CLEAR, 300), (CLEAR, 65, 300)])
def test_a_code_that_was_never_made_is_refused_and_nothing_read_for_it(damaged, codes):
    file = damaged(*codes, 65, 66, 300, END)
    with pytest.raises(OSError, match="code not yet in table"):
        read_image(file)
    with TiffRows(file) as rows, pytest.raises(Exception, match="code not yet in table"):
        rows.read(0, 4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "layout",
    [
        {"planarconfig": "contig", "rowsperstrip": 13},
        {"planarconfig": "separate", "tile": (16, 32)},
        {"planarconfig": "contig", "tile": (16, 32)},
    ],
)
@pytest.mark.parametrize("kind", ["u1", "i2", "f4"])
def test_all_layouts_are_read_as_they_were_written(tmp_path, order, layout, kind):
    bands = (np.random.default_rng(0).random((70, 45, 5)) * 100).astype(kind)
    stored = np.moveaxis(bands, 2, 0) if layout["planarconfig"] == "separate" else bands
    how = {"photometric": "minisblack", "compression": "lzw", "predictor": True, "byteorder": order}
    tifffile.imwrite(tmp_path / "a.tif", stored, **how, **layout)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").permute(1, 2, 0).numpy(), bands)
    with TiffRows(tmp_path / "a.tif") as rows:
        np.testing.assert_array_equal(rows.read(11, 50), bands[11:50])
