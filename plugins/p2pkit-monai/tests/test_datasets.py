"""Slices and whole volumes as pairs: what belongs together, units, splits by patient."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from p2pkit_monai import NiftiReader
from p2pkit_monai.slices import volume_slices
from p2pkit_monai.volumes import volumes

import p2pkit
from p2pkit import ComponentError, DataError


def test_slices_are_those_of_both_volumes_in_units(heads):
    dataset = volume_slices(root=heads, neighbours=1, target_window="ct", skip_empty=0, held_out=0)
    pairs = dataset.pairs("train")
    assert len(pairs) == 6 * 16
    assert (dataset.spec.source.channels, dataset.spec.target.channels) == (3, 1)
    assert (dataset.spec.target.low, dataset.spec.target.high) == (-1024, 3071)
    assert dataset.spec.source.shown == (1,)
    pair = pairs[16 + 7]  # of a volume whose columns lie the other way round
    assert pair.name == "p01/0007"
    ct = NiftiReader().read(heads / "target" / "p01.nii.gz").pixels[7, ..., 0]
    assert np.array_equal(pair.target[0], ct)
    assert torch.equal(pair.source[2], pairs[16 + 8].source[1])
    assert torch.equal(pairs[0].source[0], pairs[0].source[1]), "at the end a slice is its own neighbour"
    assert (pair.source.min(), pair.source.max()) == (0, 1)


def test_patients_are_in_one_split_and_empty_slices_in_none(heads):
    dataset = volume_slices(root=heads, held_out=0.5)
    assert set(dataset.splits) == {"train", "val"}
    patients = {split: {pair.name[:3] for pair in dataset.pairs(split)} for split in dataset.splits}
    assert not patients["train"] & patients["val"]
    assert set.union(*patients.values()) == {f"p{number:02}" for number in range(6)}
    everything = volume_slices(root=heads, held_out=0.5, skip_empty=0)
    kept, whole = ({pair.name for pair in one.pairs("val")} for one in (dataset, everything))
    assert kept < whole
    assert {"0000", "0015"} <= {name[4:] for name in whole - kept}, "the ends show air alone"


@pytest.mark.parametrize(("axis", "size"), [("axial", (20, 24)), ("coronal", (16, 24)), ("sagittal", (16, 20))])
def test_planes(heads, axis, size):
    assert volume_slices(root=heads, axis=axis).spec.size == size


def test_whole_volumes_resized_and_at_their_own_size(heads):
    dataset = volumes(root=heads, size=(8, 16, 12), target_window=(0, 400), held_out=0)
    pair = dataset.pairs("train")[0]
    assert pair.source.shape == pair.target.shape == (1, 8, 16, 12)
    assert pair.target.min() == -200
    assert 100 < pair.target.max() <= 200
    assert dataset.native().pairs("train")[0].target.shape == (1, 16, 20, 24)
    assert dataset.at(4, 8, 8).pairs("train")[0].target.shape == (1, 4, 8, 8)
    assert dataset.spec.reading.percentiles == (0.5, 99.5)


def test_splits_of_folders_and_series_of_dicom(series, tmp_path):
    folder, hounsfield = series
    for split in ("train", "val"):
        for side in ("MR", "CT"):
            shutil.copytree(folder, tmp_path / "all" / split / "one" / side)
    dataset = volumes(root=tmp_path / "all", source="{split}/{name}/MR", target="{split}/{name}/CT", target_window="ct")
    assert dataset.splits == ("train", "val")
    pair = dataset.pairs("val")[0]
    assert pair.name == "one"
    assert np.array_equal(pair.target[0], hounsfield)


def test_a_fingerprint_changes_with_the_files(heads, tmp_path):
    shutil.copytree(heads, tmp_path / "heads")
    before = volume_slices(root=tmp_path / "heads", held_out=0).fingerprint("train")
    (tmp_path / "heads" / "source" / "p00.nii.gz").touch()
    assert volume_slices(root=tmp_path / "heads", held_out=0).fingerprint("train") != before


@pytest.mark.parametrize(
    ("params", "cause", "parameter"),
    [
        ({"root": Path("nowhere")}, "there is no folder", "root"),
        ({"source": "source/*"}, "needs one {name}", "source"),
        ({"source": "mr/{name}", "target": "ct/{name}"}, "holds nothing like", "root"),
        ({"source": "mr/{name}"}, "there is no source of p00", "source"),
    ],
)
def test_what_is_wrong_is_said_with_its_parameter(heads, params, cause, parameter):
    with pytest.raises(ComponentError, match=cause) as raised:
        volumes(**{"root": heads, **params})
    assert raised.value.parameter == parameter


def test_volumes_of_two_sizes_are_named(heads, tmp_path):
    shutil.copytree(heads, tmp_path / "heads")
    file = tmp_path / "heads" / "target" / "p03.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((24, 20, 9), np.int16), np.eye(4)), file)
    pairs = volumes(root=tmp_path / "heads", held_out=0).pairs("train")
    with pytest.raises(DataError) as raised:
        pairs[3]
    assert raised.value.problems[0].path == str(file)
    assert raised.value.problems[0].cause == "is of 9 x 20 x 24 voxels, and the source of 16 x 20 x 24"


def test_mae_hu_is_in_the_units_of_the_targets():
    from p2pkit_monai.metrics import mae_hu

    images = p2pkit.PairSpec(p2pkit.ImageSpec(1), p2pkit.ImageSpec(1, low=-160, high=240), 8, 8)
    metric = mae_hu(images)
    metric.update(torch.zeros(2, 1, 8, 8), torch.full((2, 1, 8, 8), 0.1))
    assert float(metric.compute()) == pytest.approx(20)
    with pytest.raises(ComponentError):
        mae_hu(p2pkit.PairSpec(images.source, p2pkit.ImageSpec(4, kind="labels"), 8, 8))
