"""Fixtures: volumes, a DICOM series, a folder to run in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from p2pkit_monai.phantoms import write_phantoms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from p2pkit.registry import load_registry


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _readers():
    """Let p2pkit read what the plugin's readers read, as each command does."""
    load_registry()


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """Six patients, MR and CT, of 24 x 20 x 16 voxels."""
    root = tmp_path_factory.mktemp("heads")
    write_phantoms(root, 6, (24, 20, 16))
    return root


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, without MLflow."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def series(tmp_path):
    """A CT of five slices in files whose names are in another order, and their values in Hounsfield units."""
    hounsfield = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    folder = tmp_path / "ct"
    folder.mkdir()
    study, mine = generate_uid(), generate_uid()
    for place, slice_ in enumerate(hounsfield):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, mine
        dataset.PatientName, dataset.PatientID, dataset.Modality = "Some^One", "17", "CT"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.PixelSpacing, dataset.SliceThickness = [0.5, 0.7], 2
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-10, -20, 2.0 * place]
        dataset.set_pixel_data((slice_ + 1024).astype(np.uint16), "MONOCHROME2", 12)
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.WindowCenter, dataset.WindowWidth = 40, 400
        dataset.save_as(folder / f"{(place * 3) % 5}.dcm", enforce_file_format=True)
    return folder, hounsfield
