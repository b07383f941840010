"""From a scene to a model, and from the model to a raster in the same place."""

from __future__ import annotations

import io

import numpy as np
import p2pkit
import pytest
import rasterio

CONFIG = {
    "generator": {"use": "unet", "params": {"depth": 2, "width": 4, "dropout": 0.0}},
    "losses": {"l1": 1},
    "schedule": {"steps": 1},
    "engine": {"batch": 2, "device": "cpu"},
    "evaluate": {"metrics": ["l1"], "samples": 1},
}


@pytest.fixture
def model(scene, names, tmp_path):
    params = {"source": str(scene[0]), "target": str(scene[1]), "source_bands": ["red", "green"], "size": 16}
    config = {
        **CONFIG,
        "dataset": {"use": "geo_tiles", "params": params},
        "tracking": {"folder": str(tmp_path / "runs")},
    }
    return p2pkit.load(p2pkit.train(config, registry=names).checkpoint, registry=names, device="cpu")


def test_a_scene_is_translated_as_it_was_trained_on_and_stays_where_it_lies(model, scene, tmp_path):
    (fake,) = model.translate_files(scene[0], tmp_path / "fakes")
    with rasterio.open(scene[0]) as source, rasterio.open(fake) as made:
        assert (made.crs, made.transform, made.count, made.dtypes[0]) == (source.crs, source.transform, 3, "uint8")
        assert ((made.dataset_mask() == 0) == (source.dataset_mask() == 0)).all()
        pixels = made.read()
    scale = np.array(model.images.reading.reader.params["scale"])
    with rasterio.open(scene[0]) as source:
        values = np.moveaxis(source.read([3, 2]), 0, 2)
    shares = ((values - scale[:, 0]) / (scale[:, 1] - scale[:, 0])).clip(0, 1)
    wanted = model.translate((shares * 65535).round().astype(np.uint16))
    with pytest.raises(OSError, match="geo:geotiff reads such sources of this model, and from files alone"):
        model.sources.read([io.BytesIO(scene[0].read_bytes())], (".tif", ".tif"))
    inner = (slice(None), slice(None), slice(24, None))  # what holds nothing is black to the network
    assert np.abs(pixels[inner].astype(int) - np.moveaxis(wanted, 2, 0)[inner]).max() <= 1
    assert model.translate_files(scene[0], tmp_path / "fakes") == [fake]  # it is known to be a fake


def test_a_large_scene_is_translated_window_by_window(model, scene, tmp_path, monkeypatch):
    (whole,) = model.translate_files(scene[0], tmp_path / "whole.tif")
    monkeypatch.setattr("p2pkit.inference.large.WHOLE", 1000)
    monkeypatch.setattr("p2pkit.inference.tiles.WHOLE", 1000)
    (large,) = model.translate_files(scene[0], tmp_path / "large.tif", tile=64, overlap=32)
    with rasterio.open(whole) as first, rasterio.open(large) as second:
        assert (second.crs, second.transform) == (first.crs, first.transform)
        apart = np.abs(first.read().astype(int) - second.read().astype(int))
    assert apart[:, 16:-16, 24:-16].max() <= 1
