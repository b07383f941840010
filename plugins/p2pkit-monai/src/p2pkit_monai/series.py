"""A series of DICOM files as a volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2pkit import ImageFile
from p2pkit_monai.dicom import Dicom, DicomReader
from p2pkit_monai.nifti import orient, turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNEVEN = 0.1
"""By what share of it the distance of slices may differ before one is taken to be missing."""


@dataclass(frozen=True)
class Series:
    """What the files of a series hold beside their values, and how they lie.

    Args:
        files: In the order of their places.
        affine: Where voxels lie in the patient, as NIfTI has it.
    """

    files: tuple[Dicom, ...]
    affine: NDArray[np.float64]


def read_series(folder: Path) -> ImageFile:
    """Read the files of a folder as one volume, ordered by their places in the patient.

    Args:
        folder: It holds one series; what is no DICOM is passed over.

    Returns:
        The volume, columns to the patient's left, rows to the back, slices to the head.

    Raises:
        OSError: There is no series or more than one, or slices are missing or of several sizes.

    Shape: (D, H, W, 1).
    """
    found = [_slice(path) for path in sorted(folder.iterdir()) if _is_dicom(path)]
    if not found:
        raise OSError("holds no DICOM files")
    series = Counter(str(meta.dataset.get("SeriesInstanceUID", "")) for _, meta in found)
    if len(series) > 1:
        raise OSError(f"holds {len(series)} series, of {', '.join(map(str, series.values()))} files: a folder for each")
    if len({pixels.shape for pixels, _ in found}) > 1 or found[0][0].ndim != 2:
        raise OSError("holds images that are not all grey and of one size")
    across = _directions(found[0][1])
    found.sort(key=lambda each: _place(each[1], across))
    affine = _affine([meta for _, meta in found], across)
    voxels = np.stack([pixels for pixels, _ in found], -1).transpose(1, 0, 2)[..., None]
    lying = orient(voxels, turns(affine)).transpose(2, 1, 0, 3)
    return ImageFile(np.ascontiguousarray(lying), Series(tuple(meta for _, meta in found), affine))


def write_series(volume: ImageFile, folder: Path) -> list[Path]:
    """Write the fake of a series as a series of its own.

    Args:
        volume: The fake, with the `meta` of the volume that `read_series` returned.
        folder: Where to; it is made.

    Returns:
        The files, in the order of their places.

    Raises:
        ValueError: It is not of a series' size, or not one's fake.
    """
    series = volume.meta
    if not isinstance(series, Series):
        raise ValueError("only the fake of a volume that read_series has read can be written as a series")
    voxels = orient(volume.pixels.transpose(2, 1, 0, 3), turns(series.affine), back=True)[..., 0].transpose(1, 0, 2)
    if voxels.shape[2] != len(series.files):
        raise ValueError(f"it has {voxels.shape[2]} slices, and the series {len(series.files)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.dcm" for number in range(1, len(series.files) + 1)]
    for index, (path, meta) in enumerate(zip(paths, series.files, strict=True)):
        DicomReader().write(path, ImageFile(voxels[..., index], meta))
    return paths


def is_series(path: Path) -> bool:
    """Say whether a path is a folder that holds DICOM files."""
    return path.is_dir() and any(map(_is_dicom, path.iterdir()))


def _is_dicom(path: Path) -> bool:
    if not path.is_file() or path.name.startswith("."):
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _slice(path: Path) -> tuple[NDArray[np.generic], Dicom]:
    held = DicomReader().read(path)
    assert isinstance(held.meta, Dicom)
    if not {"ImagePositionPatient", "ImageOrientationPatient"} <= set(held.meta.dataset.dir()):
        raise OSError(f"{path.name} does not say where in the patient it lies")
    return held.pixels, held.meta


def _directions(meta: Dicom) -> NDArray[np.float64]:
    """Return the directions of columns, of rows and across both, in the patient."""
    cosines = np.array(meta.dataset.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    return np.stack([*cosines, np.cross(*cosines)])


def _place(meta: Dicom, across: NDArray[np.float64]) -> float:
    return float(np.array(meta.dataset.ImagePositionPatient, dtype=np.float64) @ across[2])


def _affine(files: Sequence[Dicom], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where voxels (column, row, slice) lie, in NIfTI's directions.

    Raises:
        OSError: Slices lie unevenly: one is missing, or two are in one place.
    """
    places = np.array([_place(meta, across) for meta in files])
    apart = np.diff(places)
    step = float(np.median(apart)) if len(apart) else float(files[0].dataset.get("SliceThickness", None) or 1)
    if len(apart) and (step <= 0 or np.abs(apart - step).max() > _UNEVEN * step):
        raise OSError(f"its slices lie {apart.min():g} to {apart.max():g} mm apart: one is missing, or comes twice")
    rows, columns = (float(side) for side in files[0].dataset.get("PixelSpacing", (1, 1)))
    affine = np.eye(4)
    affine[:3, :3] = (across * np.array([[columns], [rows], [step]])).T
    affine[:3, 3] = files[0].dataset.ImagePositionPatient
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
