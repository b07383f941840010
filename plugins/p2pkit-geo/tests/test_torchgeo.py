"""torchgeo's own data sets, of files on disk: by number, and by place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import p2pkit
import pytest
import rasterio
import torch
from p2pkit.plugins.loading import Plugins
from p2pkit.registry import Registry
from PIL import Image

from p2pkit_geo import torchgeo_pairs
from p2pkit_geo.landscapes import write_landscapes

pytest.importorskip("torchgeo.samplers", reason="torchgeo is an extra, and is not installed")
pytestmark = pytest.mark.filterwarnings("default::PendingDeprecationWarning")  # torchgeo's
README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def test_samples_by_number(tmp_path):
    for split in ("Train", "Val"):
        for kind, shape in (("images_png", (16, 16, 3)), ("masks_png", (16, 16))):
            for number in range(2):
                file = tmp_path / split / "Urban" / kind / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full(shape, number + 3, np.uint8)).save(file)
    splits = {"train": {"split": "train"}, "val": {"split": "val"}}
    arguments = {"root": str(tmp_path), "scene": ["urban"]}
    params = {"name": "LoveDA", "arguments": arguments, "splits": splits, "source": "mask", "target": "image"}
    dataset = torchgeo_pairs(**params, source_classes=8, target_range=(0, 255))
    pair = dataset.pairs("val")[1]
    assert (int(pair.source.max()), pair.source.dtype, pair.target.dtype, int(pair.target.max())) == (
        4,
        torch.uint8,
        torch.uint8,
        4,
    )
    with pytest.raises(p2pkit.ComponentError, match=r"LoveDA can't be opened: .*DatasetNotFoundError"):
        torchgeo_pairs(name="LoveDA", arguments={"root": str(tmp_path)})


def test_samples_by_place_by_the_plugin_of_the_readme(names, tmp_path):
    code = re.search(r"```python\n(.*?)```", README.partition("## torchgeo")[2], re.DOTALL)[1]
    (tmp_path / "places.py").write_text(code, encoding="utf-8")
    for split in ("train", "val"):
        write_landscapes(tmp_path / "data" / split, 64)
    plugins = Plugins(files=[tmp_path / "places.py"], discover=False, block=["p2pkit.mlflow"])
    params = {"root": str(tmp_path / "data"), "size": 32}
    config = {
        "dataset": {"use": "radar_to_optical", "params": params},
        "generator": {"use": "unet", "params": {"depth": 2, "width": 4}},
        "losses": {"l1": 1},
        "schedule": {"steps": 1},
        "engine": {"batch": 2, "device": "cpu", "workers": 0},
        "evaluate": {"metrics": ["l1"], "samples": 1},
        "tracking": {"folder": str(tmp_path / "runs")},
    }
    run = p2pkit.train(config, registry=Registry(names.file, plugins))
    dataset = p2pkit.check(config, registry=Registry(names.file, plugins)).dataset
    pairs = dataset.pairs("train")
    whole = {}
    for name in ("radar", "optical"):
        with rasterio.open(tmp_path / "data" / "train" / f"{name}.tif") as raster:
            whole[name] = raster.read()
    assert len(pairs) == 5  # four of the first landscape, and the one that lies elsewhere
    corner = (slice(None), slice(32, None), slice(None, 32))  # torchgeo counts from the south-west
    held = [np.array_equal(pair.source.numpy(), whole["radar"][corner].clip(-30, 0)) for pair in pairs]
    assert sum(held) == 1
    assert np.array_equal(pairs[held.index(True)].target.numpy(), whole["optical"][corner].clip(0, 6000))
    source = tmp_path / "data" / "val" / "radar.tif"
    (fake,) = run.load().translate_files(source, tmp_path / "fake.tif")
    with rasterio.open(source) as first, rasterio.open(fake) as second:
        assert (second.crs, second.transform, second.count) == (first.crs, first.transform, 4)


def test_a_data_set_by_place_is_refused_by_its_name():
    with pytest.raises(p2pkit.ComponentError, match="Sentinel2 gives samples by place and not by number") as raised:
        torchgeo_pairs(name="Sentinel2", arguments={"paths": "nowhere"})
    assert "p2pkit_geo.Chips" in raised.value.remedy
