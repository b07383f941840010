"""TIFFs read by rows and written by tiles."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from p2pkit.images import tiff_windows
from p2pkit.images.files import writing_whole
from p2pkit.images.tiff_windows import TiffRows, TiffShape, write_rows

SCALE = (33550, 12, 3, (10.0, 10.0, 0.0), True)
LAYOUTS = [
    {},
    {"tile": (16, 32)},
    {"compression": "zlib", "predictor": True, "rowsperstrip": 7},
    {"planarconfig": "separate"},
    {"planarconfig": "separate", "tile": (16, 32), "compression": "zlib"},
    {"byteorder": ">"},
]


@pytest.fixture
def bands():
    return np.random.default_rng(0).integers(0, 65535, (70, 45, 5)).astype(np.uint16)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_rows_are_those_of_the_whole_file(tmp_path, bands, layout):
    layout = {"planarconfig": "contig", **layout}
    order = layout.pop("byteorder", "<")
    data = np.moveaxis(bands, 2, 0) if layout["planarconfig"] == "separate" else bands
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", byteorder=order, **layout)
    with TiffRows(tmp_path / "a.tif") as rows:
        assert (rows.height, rows.width, rows.channels) == (70, 45, 5)
        for first, last in ((0, 70), (13, 41), (69, 70)):
            np.testing.assert_array_equal(rows.read(first, last), bands[first:last])


def test_pages_are_bands(tmp_path, bands):
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(bands, 2, 0), photometric="minisblack")
    with TiffRows(tmp_path / "a.tif") as rows:
        np.testing.assert_array_equal(rows.read(5, 9), bands[5:9])


def test_what_can_not_be_read_by_rows_is_refused(tmp_path, bands):
    tifffile.imwrite(tmp_path / "a.tif", bands[..., 0], photometric="minisblack", extratags=[(274, 3, 1, 6, True)])
    with pytest.raises(OSError, match="not of a kind that can be read by rows"):
        TiffRows(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("kind", "channels", "classes"), [(np.uint8, 3, False), (np.float32, 1, False), (np.uint8, 1, True)]
)
def test_rows_become_a_tiled_file_with_its_pyramid_and_place(tmp_path, monkeypatch, kind, channels, classes):
    monkeypatch.setattr(tiff_windows, "_SIDE", 16)
    whole = np.random.default_rng(0).integers(0, 9, (41, 35, channels)).astype(kind)
    shape = TiffShape(41, 35, channels, np.dtype(kind), classes)
    rows = (whole[first : first + 7] for first in range(0, 41, 7))
    write_rows(tmp_path / "a.tif", rows, shape, [SCALE], levels=2, compressed=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        pages = [page.asarray().reshape(*page.shape[:2], channels) for page in file.pages]
        assert [page.shape[:2] for page in pages] == [(41, 35), (20, 17), (10, 8)]
        assert [page.is_reduced for page in file.pages] == [False, True, True]
        assert file.pages[0].is_tiled
        assert file.pages[0].tags[33550].value == SCALE[3]
    np.testing.assert_array_equal(pages[0], whole)
    even = whole[:40, :34]
    means = even.reshape(20, 2, 17, 2, channels).mean((1, 3))
    wanted = even[::2, ::2] if classes else means if kind == np.float32 else means.round()
    np.testing.assert_array_equal(pages[1], wanted.astype(kind))
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.fixture
def write(tmp_path):
    """Write noise of 1024 x 512 pixels to `a.tif` of a folder, whose rows may end by an error."""

    def act(folder=tmp_path, *, rows=64, levels=0, ends_by=None):
        def noise():
            dice = np.random.default_rng(0)
            for _ in range(rows):
                yield dice.integers(0, 255, (16, 512, 3), dtype=np.uint8)
            if ends_by is not None:
                raise ends_by

        with writing_whole(folder / "a.tif") as partial:
            shape = TiffShape(1024, 512, 3, np.dtype("uint8"))
            write_rows(partial, noise(), shape, [], levels=levels, compressed=False)

    return act


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("levels", [0, 2])
def test_what_ends_in_the_middle_leaves_no_half_file(tmp_path, write, error, levels):
    with pytest.raises(type(error)):
        write(rows=40, levels=levels, ends_by=error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("levels", [0, 2])
def test_a_disk_that_is_full_in_the_middle_leaves_no_half_file(small_disk, write, levels):
    small_disk.fill(leave=600_000)
    with pytest.raises(OSError, match="No space left"):
        write(small_disk.path, levels=levels)
    assert [path.name for path in small_disk.path.iterdir()] == ["filler"]
