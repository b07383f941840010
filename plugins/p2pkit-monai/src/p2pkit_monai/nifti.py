"""NIfTI files: volumes that lie as DICOM's do, written back as they lay."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pkit import ImageFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

LYING = ("L", "P", "S")
"""Columns go to the patient's left, rows to the back, slices to the head: as CT is read, from the feet, face up."""
_AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Nifti:
    """What a NIfTI file holds beside its values.

    Args:
        header: nibabel's header.
        affine: Where the file's voxels lie in the patient.
        ndim: Dimensions of the file's array.
    """

    header: Any
    affine: NDArray[np.float64]
    ndim: int

    def __repr__(self) -> str:
        return f"Nifti({type(self.header).__name__}, {self.affine.tolist()}, {self.header['pixdim'].tolist()})"


class NiftiReader:
    """NIfTI files, plain or gzipped, by nibabel.

    Axes are turned so that columns go to the patient's left, rows to the back and slices to the head, whatever the
    file's order; a fake is turned back, and keeps affine and header. Scaled values are read as what they stand for.
    """

    def read(self, path: Path) -> ImageFile:
        """Read a file: (H, W) or (H, W, C) of a single slice, else (D, H, W, C); times or echoes are channels."""
        import nibabel

        image: Any = nibabel.load(path)
        header: Any = image.header
        if not isinstance(image, nibabel.Nifti1Pair):
            raise ValueError(f"is {type(image).__name__} and not NIfTI")
        values = np.asanyarray(image.dataobj)
        if values.dtype.names:  # colours are a structure of bytes
            values = np.stack([values[name] for name in values.dtype.names], -1)
        if not 2 <= values.ndim <= 4:
            raise ValueError(f"holds {values.ndim} dimensions, of which only 2 to 4 are images or volumes")
        meta = Nifti(header.copy(), np.array(image.affine), values.ndim)
        whole = values.reshape(*values.shape, *[1] * (4 - values.ndim))
        turned = orient(whole, turns(meta.affine)).transpose(2, 1, 0, 3)
        pixels = turned[0] if len(turned) == 1 else turned
        flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
        return ImageFile(np.ascontiguousarray(flat), meta)

    def write(self, path: Path, image: ImageFile) -> None:
        """Write an image or a volume, where the file that it was made of lay."""
        import nibabel

        pixels = image.pixels if image.pixels.ndim > 2 else image.pixels[..., None]
        volume = (pixels if pixels.ndim == 4 else pixels[None]).transpose(2, 1, 0, 3)
        meta = image.meta if isinstance(image.meta, Nifti) else None
        affine = meta.affine if meta else _AFFINE
        values = orient(volume, turns(affine), back=True)
        values = values[..., 0] if values.shape[3] == 1 else values
        if meta and meta.ndim == 2:
            values = values[:, :, 0]
        header = meta.header.copy() if meta else None
        make: Any = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        made = make(np.ascontiguousarray(values), affine, header, dtype=values.dtype)
        made.header["cal_min"] = made.header["cal_max"] = 0  # a viewer's window, which was the source's
        nibabel.save(made, path)


def turns(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which axis goes where, and which is reversed, by the directions in which voxels lie."""
    nibabel: Any = import_module("nibabel.orientations")

    return np.asarray(nibabel.ornt_transform(nibabel.io_orientation(affine), nibabel.axcodes2ornt(LYING)))


def orient(values: NDArray[np.generic], turns: NDArray[np.float64], *, back: bool = False) -> NDArray[np.generic]:
    """Turn the first three axes, or turn them back."""
    order = [int(axis) for axis in turns[:, 0]]
    flips = [axis for axis in range(3) if turns[axis, 1] < 0]
    if back:
        moved = values.transpose(*order, 3)
        return np.flip(moved, tuple(flips))
    moved = np.flip(values, tuple(flips))
    return moved.transpose(*(order.index(axis) for axis in range(3)), 3)
