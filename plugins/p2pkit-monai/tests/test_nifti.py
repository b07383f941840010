"""NIfTI: how volumes lie, and what a fake keeps of its source."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from p2pkit_monai import NiftiReader

import p2pkit

DATA = Path(nibabel.__file__).parent / "tests" / "data"


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "SAL"])
def test_volumes_lie_as_dicoms_do_and_are_turned_back(axes, tmp_path):
    values = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    ras = nibabel.Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0]))  # x to the right, y to the front, z to the head
    turns = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(ras.affine), nibabel.orientations.axcodes2ornt(axes)
    )
    image = ras.as_reoriented(turns)
    image.header["descrip"] = b"kept"
    nibabel.save(image, tmp_path / "a.nii.gz")
    reader = NiftiReader()
    held = reader.read(tmp_path / "a.nii.gz")
    assert np.array_equal(held.pixels[..., 0], values[::-1, ::-1].transpose(2, 1, 0))
    reader.write(tmp_path / "b.nii.gz", p2pkit.ImageFile(held.pixels.astype(np.float32) + 0.5, held.meta))
    fake = nibabel.load(tmp_path / "b.nii.gz")
    assert nibabel.aff2axcodes(fake.affine) == tuple(axes)
    assert np.array_equal(fake.affine, image.affine)
    assert np.array_equal(fake.get_fdata(), image.get_fdata() + 0.5)
    assert fake.get_data_dtype() == np.float32
    assert bytes(fake.header["descrip"]).startswith(b"kept")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("anatomical.nii", (25, 41, 33, 1)), ("functional.nii", (3, 21, 17, 20)), ("example4d.nii.gz", (24, 96, 128, 2))],
)
def test_nibabels_own_files(name, shape):
    if not (DATA / name).is_file():
        pytest.skip("this nibabel comes without its test data")
    held = NiftiReader().read(DATA / name)
    assert held.pixels.shape == shape
    assert held.pixels.std() > 0


def test_scaled_values_are_what_they_stand_for(tmp_path):
    image = nibabel.Nifti1Image(np.array([[[0, 100]]], np.int16).transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header.set_slope_inter(0.5, -7)
    nibabel.save(image, tmp_path / "a.nii")
    assert NiftiReader().read(tmp_path / "a.nii").pixels.tolist() == [[-7, 43]]


def test_one_slice_is_an_image(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4), np.uint8), np.eye(4)), tmp_path / "a.nii")
    held = NiftiReader().read(tmp_path / "a.nii")
    assert held.pixels.shape == (4, 3)
    NiftiReader().write(tmp_path / "b.nii", held)
    assert nibabel.load(tmp_path / "b.nii").shape[:2] == (3, 4)


def test_what_is_no_volume_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2, 2, 2), np.uint8), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ValueError, match="5 dimensions"):
        NiftiReader().read(tmp_path / "a.nii")
