"""DICOM files in the units that they stand for, written back as derived images."""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pkit import ImageFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".dcm", ".dicom", ".ima")
_RUN = uuid.uuid4().hex
"""Fakes of one series that one process writes are one new series."""
_STALE = (
    *("PixelData", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "VOILUTSequence"),
    *("WindowCenter", "WindowWidth", "SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"),
    "PixelPaddingRangeLimit",
)


@dataclass(frozen=True)
class Dicom:
    """What a DICOM file holds beside its values.

    Args:
        dataset: pydicom's data set, without the pixels and what describes their values.
    """

    dataset: Any = field(repr=False)


class DicomReader:
    """DICOM files by pydicom, in the units that slope and intercept give: Hounsfield units for CT.

    Fakes keep patient, study and place of their source. They are a derived image with an identity of their own, in a
    series of their own. Floats are stored in 16 bits with a slope and intercept of their own.
    """

    def read(self, path: Path) -> ImageFile:
        """Read a file: (H, W) or (H, W, 3), of many frames (D, H, W, C)."""
        from pydicom import dcmread

        pixels_of: Any = import_module("pydicom.pixels").pixel_array
        dataset = dcmread(path)
        pixels = _in_units(pixels_of(dataset), dataset)
        if int(dataset.get("NumberOfFrames", None) or 1) > 1 and dataset.SamplesPerPixel == 1:
            pixels = pixels[..., None]
        for name in _STALE:
            if name in dataset:
                delattr(dataset, name)
        return ImageFile(pixels, Dicom(dataset))

    def write(self, path: Path, image: ImageFile) -> None:
        """Write an image, as a derived one of the file that it was made of; without that, one of no patient."""
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid

        known = isinstance(image.meta, Dicom)
        pixels, slope, intercept = _stored(image.pixels, known)
        dataset = _copied(image.meta.dataset) if isinstance(image.meta, Dicom) else _captured()
        grey = pixels.ndim == 2 or pixels.shape[-1] == 1
        held = pixels[..., 0] if grey and pixels.ndim > 2 else pixels
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.set_pixel_data(np.ascontiguousarray(held), "MONOCHROME2" if grey else "RGB", 8 * held.dtype.itemsize)
        dataset.SeriesInstanceUID = generate_uid(
            entropy_srcs=[_RUN, str(dataset.get("SeriesInstanceUID", path.parent))]
        )
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        if held.dtype == np.uint16 and image.pixels.dtype.kind == "f":
            dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.save_as(path, enforce_file_format=True)


def _in_units(stored: Any, dataset: Any) -> NDArray[np.generic]:
    """Bring stored numbers to what they stand for; whole numbers that stand for themselves stay as they are."""
    shared = dataset.get("SharedFunctionalGroupsSequence", None)
    held = shared[0].get("PixelValueTransformationSequence", None) if shared else None
    where = held[0] if held else dataset
    slope, intercept = float(where.get("RescaleSlope", None) or 1), float(where.get("RescaleIntercept", None) or 0)
    if (slope, intercept) == (1, 0):
        return np.asarray(stored)
    scaled: NDArray[np.float32] = (stored * np.float64(slope) + intercept).astype(np.float32)
    return scaled


def _stored(pixels: NDArray[np.generic], known: bool) -> tuple[NDArray[np.generic], str, str]:
    """Return what is stored of values, with slope and intercept."""
    if pixels.ndim == 3 and pixels.shape[-1] not in (1, 3):
        raise ValueError(f"DICOM holds grey or colour images, not {pixels.shape[-1]} channels")
    if pixels.ndim == 4 and not known:
        raise ValueError("DICOM holds a volume that no DICOM file was the source of as no file: write .nii.gz")
    if pixels.dtype.kind != "f":
        if pixels.dtype.itemsize > 2:
            raise ValueError(f"DICOM holds up to 16 bits, not {pixels.dtype}")
        return pixels, "1", "0"
    if not known:
        raise ValueError("floats are stored beside the facts of their source, which was no DICOM file: write .nii.gz")
    from pydicom.valuerep import format_number_as_ds

    low, high = float(pixels.min()), float(pixels.max())
    intercept, slope = (format_number_as_ds(value) for value in (low, (high - low) / 65535 or 1.0))
    steps = (pixels.astype(np.float64) - float(intercept)) / float(slope)
    return steps.round().clip(0, 65535).astype(np.uint16), slope, intercept


def _copied(source: Any) -> Any:
    """Return a copy of a source's facts, marked as those of an image that was derived from it."""
    dataset = copy.deepcopy(source)
    dataset.ImageType = ["DERIVED", "SECONDARY", *list(dataset.get("ImageType", None) or [])[2:]]
    dataset.DerivationDescription = "Made by a generator of p2pkit"
    said = str(dataset.get("SeriesDescription", None) or "")
    dataset.SeriesDescription = f"{said} (p2pkit)".strip()[:64]
    return dataset


def _captured() -> Any:
    """Return the facts of an image of no patient."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.Modality, dataset.ConversionType = "OT", "SYN"
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, name, "")
    for name in ("AccessionNumber", "ReferringPhysicianName", "SeriesNumber", "InstanceNumber"):
        setattr(dataset, name, None)
    dataset.StudyInstanceUID = generate_uid()
    return dataset
