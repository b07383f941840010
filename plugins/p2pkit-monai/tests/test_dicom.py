"""DICOM: units, what a fake keeps, and series as volumes."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from p2pkit_monai import DicomReader, read_series, write_series

import p2pkit


def test_values_are_hounsfield_units(series):
    folder, hounsfield = series
    held = DicomReader().read(folder / "0.dcm")
    assert np.array_equal(held.pixels, hounsfield[0])
    assert held.pixels.dtype == np.float32


def test_a_fake_keeps_patient_and_place_and_is_an_image_of_its_own(series, tmp_path):
    folder, hounsfield = series
    reader = DicomReader()
    held = reader.read(folder / "0.dcm")
    source = pydicom.dcmread(folder / "0.dcm")
    for name in ("a", "b"):
        reader.write(tmp_path / f"{name}.dcm", p2pkit.ImageFile(held.pixels / 3, held.meta))
    fake, other = (pydicom.dcmread(tmp_path / f"{name}.dcm") for name in "ab")
    for kept in ("PatientID", "StudyInstanceUID", "ImagePositionPatient", "PixelSpacing"):
        assert fake[kept].value == source[kept].value
    assert len({source.SOPInstanceUID, fake.SOPInstanceUID, other.SOPInstanceUID}) == 3
    assert fake.SeriesInstanceUID == other.SeriesInstanceUID != source.SeriesInstanceUID
    assert fake.file_meta.MediaStorageSOPInstanceUID == fake.SOPInstanceUID
    assert list(fake.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert "WindowCenter" not in fake
    again = reader.read(tmp_path / "a.dcm").pixels
    assert np.abs(again - hounsfield[0] / 3).max() < 0.01, "a step of 16 bits over its own range"


def test_a_series_is_a_volume_ordered_by_place(series):
    folder, hounsfield = series
    (folder / "notes.txt").write_text("no DICOM")
    held = read_series(folder)
    assert np.array_equal(held.pixels[..., 0], hounsfield)
    assert np.allclose(held.meta.affine, [[-0.7, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 2, 0], [0, 0, 0, 1]])


def test_a_fake_of_a_series_is_a_series(series, tmp_path):
    folder, hounsfield = series
    held = read_series(folder)
    paths = write_series(p2pkit.ImageFile(held.pixels + 1, held.meta), tmp_path / "fake")
    assert len(paths) == 5
    again = read_series(tmp_path / "fake")
    assert np.abs(again.pixels[..., 0] - hounsfield - 1).max() < 0.05
    assert len({meta.dataset.SeriesInstanceUID for meta in again.meta.files}) == 1
    with pytest.raises(ValueError, match="read_series"):
        write_series(p2pkit.ImageFile(held.pixels), tmp_path / "other")


def test_series_that_are_none_are_refused(series, tmp_path):
    folder, _ = series
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="no DICOM"):
        read_series(tmp_path / "empty")
    (folder / "3.dcm").rename(tmp_path / "3.dcm")
    with pytest.raises(OSError, match="one is missing"):
        read_series(folder)
    other = pydicom.dcmread(tmp_path / "3.dcm")
    other.SeriesInstanceUID = "1.2.3"
    other.save_as(folder / "3.dcm")
    with pytest.raises(OSError, match="2 series"):
        read_series(folder)


@pytest.mark.parametrize(
    ("pixels", "cause"),
    [
        (np.zeros((4, 4), np.float32), "write .nii.gz"),
        (np.zeros((4, 4), np.int32), "16 bits"),
        (np.zeros((4, 4, 5), np.uint8), "5 channels"),
        (np.zeros((2, 4, 4, 1), np.uint8), "write .nii.gz"),
    ],
)
def test_what_dicom_can_not_hold_is_refused(pixels, cause, tmp_path):
    with pytest.raises(ValueError, match=cause):
        DicomReader().write(tmp_path / "a.dcm", p2pkit.ImageFile(pixels))
