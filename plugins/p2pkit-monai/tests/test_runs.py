"""Runs from data to translated volumes: by slices, and whole."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

import p2pkit

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
UNET = {"use": "monai:monai_unet", "params": {"channels": [4, 8]}}
DISCRIMINATOR = {"use": "monai:monai_patch", "params": {"width": 4, "layers": 1}}


def config(heads, dataset, augment, **params):
    return {
        "dataset": {"use": dataset, "params": {"root": str(heads), "target_window": "ct", "held_out": 0.5, **params}},
        "augment": augment,
        "generator": UNET,
        "discriminator": DISCRIMINATOR,
        "losses": {"gan": 1, "l1": 100},
        "schedule": {"steps": 2},
        "engine": {"batch": 2, "device": "cpu"},
        "evaluate": {"metrics": ["l1", "mae_hu", "ssim"], "samples": 2, "every": 0},
    }


def test_slices_train_and_a_volume_is_translated_in_kind(heads, here):
    run = p2pkit.train(config(heads, "volume_slices", ["flip"], neighbours=1, size=[16, 24]))
    source = heads / "source" / "p01.nii.gz"
    model = run.load()
    (fake,) = model.translate_files(source, here / "fakes")
    assert fake.name == "p01.nii.gz"
    ours, theirs = nibabel.load(fake), nibabel.load(source)
    assert ours.shape == theirs.shape
    assert np.array_equal(ours.affine, theirs.affine)
    assert ours.get_data_dtype() == np.float32
    assert ours.get_fdata().min() >= -1024
    assert ours.get_fdata().std() > 0
    with pytest.raises(p2pkit.DataError, match="give the volume"):
        model.translate(np.zeros((20, 24), np.float32))


def test_whole_volumes_train_are_scored_by_slices_and_translated_in_tiles(heads, here):
    run = p2pkit.train(config(heads, "volumes", ["crop", "flip"], size=[8, 16, 16]))
    metrics = run.report.metrics
    assert metrics["mae_hu"] == pytest.approx(metrics["l1"] * 4095 / 2)
    assert np.isfinite(metrics["ssim"])
    with Image.open(run.sheet) as sheet:
        assert sheet.width > sheet.height
    source = heads / "source" / "p01.nii.gz"
    whole, tiled = (run.load().translate_files(source, here / str(tile), tile=tile)[0] for tile in (0, 12))
    whole, tiled = nibabel.load(whole), nibabel.load(tiled)
    assert whole.shape == tiled.shape == (24, 20, 16)
    assert np.array_equal(tiled.affine, nibabel.load(source).affine)
    assert np.corrcoef(whole.get_fdata().ravel(), tiled.get_fdata().ravel())[0, 1] > 0.5


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_in_order(recipe, heads):
    checked = p2pkit.check(recipe, **{"dataset.params.root": str(heads), "engine.batch": 2, "engine.device": "cpu"})
    assert checked.discriminator is not None
