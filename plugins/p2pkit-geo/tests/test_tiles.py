"""Tiles of scenes: split by area, on a scale that is settled once, with what does not count."""

from __future__ import annotations

import pickle

import numpy as np
import p2pkit
import pytest
import torch
from rasterio import Affine

from p2pkit_geo import geo_tiles


def test_no_pixel_is_in_both_splits(scene):
    source, target = scene
    dataset = geo_tiles(source=source, target=target, size=16, stride=8, block=40, held_out=0.3, least_valid=0)
    assert dataset.splits == ("train", "val")
    seen = {}
    for split in dataset.splits:
        area = np.zeros((96, 128), bool)
        for tile in dataset.tiles[split]:
            area[tile.row : tile.row + 16, tile.column : tile.column + 16] = True
        seen[split] = area
    assert not (seen["train"] & seen["val"]).any()
    assert 0.1 < seen["val"].sum() / (seen["train"].sum() + seen["val"].sum()) < 0.6
    assert len(geo_tiles(source=source, target=target, size=16, block=48, held_out=1e-9).pairs("val")) > 0


def test_ranges_are_settled_once_and_stored_with_the_model(scene):
    source, target = scene
    dataset = geo_tiles(source=source, target=target, size=16, source_bands=("red", "blue"), percentiles=(0, 100))
    reader = dataset.spec.reading.reader
    assert (reader.use, reader.params["bands"]) == ("geo:geotiff", ["red", "blue"])
    (red, blue) = reader.params["scale"]
    assert red[1] > 2 * blue[1] > 2 * blue[0] >= 200  # what holds nothing is no value
    assert (dataset.spec.source.channels, dataset.spec.source.high, dataset.spec.target.high) == (2, 65535, 255)
    pair = dataset.pairs("train")[0]
    assert (pair.source.dtype, pair.source.shape, pair.target.shape) == (torch.uint16, (2, 16, 16), (3, 16, 16))
    given = geo_tiles(source=source, target=target, size=16, source_range=((0, 100), (0, 200), (0, 300)))
    assert given.spec.reading.reader.params["scale"] == [[0, 100], [0, 200], [0, 300]]


def test_what_holds_nothing_does_not_count(scene, raster):
    source, target = scene
    clouds = np.ones((1, 96, 128), np.uint8)
    clouds[:, :, 80:] = 9
    mask = raster("mask.tif", clouds)
    dataset = geo_tiles(source=source, target=target, mask=mask, ignored=(9,), size=32, stride=16, block=96, held_out=0)
    assert dataset.spec.mask == "valid"
    shares = {
        pair.name.partition("/")[2][7:]: pair.extras["valid"].float().mean() / 255 for pair in dataset.pairs("train")
    }
    assert {name: round(float(share), 3) for name, share in shares.items()} == {
        "000000": 0.5, "000016": 1, "000032": 1, "000048": 1, "000064": 0.5
    }  # fmt: skip
    assert dataset.notes == ("5 tiles are left out, of which less than 50% counts",)
    with pytest.raises(p2pkit.ComponentError, match=r"of 30 tiles of 32 x 32 .* none is left of which 100% counts"):
        geo_tiles(source=source, target=raster("t.tif", np.zeros((1, 96, 128), np.uint8), nodata=0), size=32, stride=16,
                  block=96, held_out=0, least_valid=1)  # fmt: skip


def test_scenes_of_a_folder_are_matched_by_name(raster):
    for name in ("a", "b"):
        raster(f"x/{name}.tif", np.full((1, 32, 32), 7, np.uint8))
        raster(f"y/{name}.tif", np.full((1, 32, 32), 9, np.uint8))
    folder = raster("x/a.tif", np.full((1, 32, 32), 7, np.uint8)).parent
    dataset = geo_tiles(source=folder, target=folder.parent / "y", size=16, held_out=0)
    assert [pair.name for pair in dataset.pairs("train")][::4] == ["a/000000_000000", "b/000000_000000"]
    assert (dataset.spec.mask, dataset.spec.extras) == ("", {})
    raster("x/c.tif", np.zeros((1, 32, 32), np.uint8))
    with pytest.raises(p2pkit.ComponentError, match="c is in one of"):
        geo_tiles(source=folder, target=folder.parent / "y", size=16)


def test_classes_are_labels_and_what_holds_nothing_has_none(raster):
    classes = np.random.default_rng(0).integers(1, 5, (1, 32, 32)).astype(np.uint8)
    source = raster("classes.tif", classes, nodata=4)
    dataset = geo_tiles(source=source, target=raster("t.tif", np.zeros((3, 32, 32), np.uint8)), size=16,
                        source_classes=5, held_out=0)  # fmt: skip
    pair = dataset.pairs("train")[0]
    assert (dataset.spec.source.kind, dataset.spec.source.channels, pair.source.dtype) == ("labels", 5, torch.uint8)
    assert set(torch.unique(pair.source).tolist()) <= {0, 1, 2, 3}


def test_targets_keep_their_units(raster):
    heights = np.linspace(-20.5, 1800, 32 * 32, dtype=np.float32).reshape(1, 32, 32)
    source, target = raster("s.tif", np.zeros((1, 32, 32), np.uint8)), raster("h.tif", heights)
    dataset = geo_tiles(source=source, target=target, size=16, percentiles=(0, 100), held_out=0)
    assert dataset.spec.target.dtype == ""
    assert 1780 < dataset.spec.target.high <= 1800
    assert dataset.pairs("train")[0].target.dtype == torch.float32


def test_rasters_of_another_grid_are_refused_with_the_line_that_mends_it(scene, raster):
    source, _ = scene
    other = raster("other.tif", np.zeros((1, 96, 128), np.uint8), transform=Affine(10, 0, 0, 0, -10, 0))
    with pytest.raises(p2pkit.ComponentError, match=r"of 128 x 96 pixels at \(10.0, 0.0, 0.0") as caught:
        geo_tiles(source=source, target=other, size=16)
    assert "rio warp other.tif warped.tif --like source.tif" in caught.value.remedy
    with pytest.raises(p2pkit.ComponentError, match="no file or folder"):
        geo_tiles(source=source, target=other.with_name("none.tif"), size=16)
    with pytest.raises(p2pkit.ComponentError, match="no band 'nir'"):
        geo_tiles(source=source, target=scene[1], source_bands=("nir",), size=16)


def test_pairs_are_read_by_other_processes_and_at_other_sizes(scene):
    source, target = scene
    dataset = geo_tiles(source=source, target=target, size=16)
    again = pickle.loads(pickle.dumps(dataset))
    assert again.fingerprint("train") == dataset.fingerprint("train")
    pair = again.at(24, 20).pairs("train")[3]
    assert (pair.source.shape[1:], pair.extras["valid"].shape) == ((24, 20), (1, 24, 20))
    with pytest.raises(p2pkit.DataError, match="no split 'test'"):
        dataset.pairs("test")
