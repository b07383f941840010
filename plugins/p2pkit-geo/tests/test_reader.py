"""GeoTIFFs read by bands on a scale, and written where their source lies."""

from __future__ import annotations

import numpy as np
import p2pkit
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from p2pkit_geo import GeoTiff

VALUES = np.arange(3 * 6 * 8, dtype=np.uint16).reshape(3, 6, 8)


def test_bands_are_numbers_names_or_colours(raster):
    path = raster("a.tif", VALUES, names=("B02", "B03", "B04"), photometric="RGB")
    for bands in ((3, 1), ("B04", "b02"), ("blue", "red")):
        wanted = VALUES[[2, 0]]
        assert np.array_equal(GeoTiff(bands=bands).read(path).pixels, np.moveaxis(wanted, 0, 2)), bands
    with pytest.raises(OSError, match="no band 'nir'; names of its bands: b02, b03, b04, blue, green, red"):
        GeoTiff(bands=("nir",)).read(path)
    with pytest.raises(OSError, match="has 3 bands, counted from 1, and no band 4"):
        GeoTiff(bands=(4,)).read(path)


def test_a_scale_brings_each_band_to_sixteen_bits(raster):
    path = raster("a.tif", VALUES)
    read = GeoTiff(bands=(1, 2), scale=((0, 40), (50, 90))).read(path).pixels
    assert read.dtype == np.uint16
    assert (read[0, 0].tolist(), read[5, 7].tolist()) == ([0, 0], [65535, 65535])
    assert read[2, 4].tolist() == [round(65535 * 20 / 40), round(65535 * (68 - 50) / 40)]
    with pytest.raises(OSError, match="has 3 bands, and 2 ranges are given for them"):
        GeoTiff(scale=((0, 40), (50, 90))).read(path)
    with pytest.raises(p2pkit.ComponentError, match="4 is not below"):
        GeoTiff(scale=((4, 4),))


def test_where_a_raster_holds_nothing_its_fake_does_not_either(raster, tmp_path):
    values = VALUES[:1].astype(np.float32)
    values[0, 0, 0], values[0, 1, 1] = np.nan, -9999
    read = GeoTiff().read(raster("a.tif", values, nodata=-9999))
    assert (read.pixels[0, 0], read.pixels[1, 1], read.pixels[2, 2]) == (0, 0, 18)
    GeoTiff().write(tmp_path / "fake.tif", p2pkit.ImageFile(np.zeros((6, 8, 3), np.uint8), read.meta))
    with rasterio.open(tmp_path / "fake.tif") as fake:
        empty = fake.dataset_mask() == 0
    assert (int(empty.sum()), bool(empty[0, 0]), bool(empty[1, 1])) == (2, True, True)


def test_its_place_on_earth_stays(raster, tmp_path):
    large = np.zeros((1, 1024, 1024), np.uint16)
    path = raster("a.tif", large, compress="deflate", tiled=True)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    read = GeoTiff().read(path)
    GeoTiff().write(tmp_path / "fake.tif", p2pkit.ImageFile(np.ones((1024, 1024), np.uint8), read.meta))
    with rasterio.open(path) as first, rasterio.open(tmp_path / "fake.tif") as fake:
        assert (fake.crs, fake.transform, fake.overviews(1)) == (first.crs, first.transform, [2, 4])
        assert (fake.compression.name, fake.dtypes) == ("deflate", ("uint8",))
    assert b"p2pkit write_image" in (tmp_path / "fake.tif").read_bytes()[:4096]  # by which it is known to be a fake


def test_control_points_and_polynomials_stay(raster, tmp_path):
    points = [GroundControlPoint(row, column, 11 + column, 48 - row) for row in (0, 5) for column in (0, 7)]
    coefficients = [float(number) for number in range(20)]
    rpcs = RPC(
        **dict.fromkeys(("line_num_coeff", "line_den_coeff", "samp_num_coeff", "samp_den_coeff"), coefficients),
        **{f"{axis}_off": float(place) for place, axis in enumerate(("height", "lat", "line", "long", "samp"), 3)},
        **{f"{axis}_scale": 2.0 for axis in ("height", "lat", "line", "long", "samp")},
    )
    for name, more in (("gcps", {"gcps": points, "crs": "EPSG:4326", "transform": None}), ("rpcs", {"rpcs": rpcs})):
        read = GeoTiff().read(raster(f"{name}.tif", VALUES, **more))
        GeoTiff().write(tmp_path / "fake.tif", p2pkit.ImageFile(np.zeros((6, 8), np.uint8), read.meta))
        with rasterio.open(tmp_path / "fake.tif") as fake:
            if name == "gcps":
                assert [(p.row, p.col, p.x, p.y) for p in fake.gcps[0]] == [(p.row, p.col, p.x, p.y) for p in points]
                assert fake.gcps[1].to_epsg() == 4326
            else:
                assert fake.rpcs.line_num_coeff == coefficients
                assert fake.rpcs.samp_off == rpcs.samp_off


def test_rows_are_read_without_the_others(raster):
    path = raster("a.tif", VALUES, nodata=5)
    reader = GeoTiff(bands=(2, 1), scale=((0, 100),))
    with reader.rows(path) as rows:
        assert (rows.height, rows.width, rows.levels, rows.compressed) == (6, 8, 0, False)
        assert np.array_equal(rows.read(2, 5), reader.read(path).pixels[2:5])


def test_what_is_no_raster_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 no more")
    with pytest.raises(OSError, match="can't be read as a raster"):
        GeoTiff().read(tmp_path / "a.tif")
    assert GeoTiff().sniff(b"II*\0 no more")
    assert not GeoTiff().sniff(b"")
