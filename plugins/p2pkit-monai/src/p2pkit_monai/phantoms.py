"""Phantoms to try things on: a head of ellipsoids, as MR and as CT see it.

`python -m p2pkit_monai.phantoms data/heads` writes some.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BONE, _MARROW, _BRAIN = (500, 60), (60, 900), (700, 35)
_TISSUES = ((1000, 5), (300, 70), (850, 20))
"""What MR and CT show of a tissue: any number, and Hounsfield units."""


def phantom(seed: int, shape: tuple[int, int, int]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Draw a head with a skull around it and five lesions inside.

    Args:
        seed: Settles which.
        shape: Voxels from right to left, from back to front and from feet to head.

    Returns:
        The MR, whose scale is another for each head, and the CT in Hounsfield units.
    """
    dice = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))
    mr, ct = np.zeros(shape), np.full(shape, -1000.0)
    head, middle = dice.uniform(0.7, 0.9, 3), np.zeros(3)
    parts = [(head, middle, _BONE), (head * 0.93, middle, _MARROW), (head * 0.85, middle, _BRAIN)]
    for _ in range(5):
        tissue = _TISSUES[dice.integers(3)]
        parts.append((dice.uniform(0.1, 0.25, 3), dice.uniform(-0.4, 0.4, 3), tissue))
    for radius, centre, (bright, dense) in parts:
        apart = (grid - centre[:, None, None, None]) / radius[:, None, None, None]
        inside = (apart**2).sum(0) < 1
        mr[inside], ct[inside] = bright, dense
    mr = mr * dice.uniform(0.7, 1.4) + dice.normal(0, 15, shape)
    ct = ct + dice.normal(0, 8, shape)
    return mr.clip(0).astype(np.int16), ct.round().astype(np.int16)


def write_phantoms(root: Path, count: int = 24, shape: tuple[int, int, int] = (64, 64, 48)) -> None:
    """Write heads as NIfTI files, every other one with its columns the other way round, as scanners do.

    Args:
        root: Folder for them; `source` holds the MR, `target` the CT.
        count: How many.
        shape: Voxels from right to left, from back to front and from feet to head.
    """
    nibabel: Any = import_module("nibabel")
    for number in range(count):
        for side, values in zip(("source", "target"), phantom(number, shape), strict=True):
            flipped = number % 2 == 1
            affine = np.diag([-2.0 if flipped else 2.0, 2.0, 3.0, 1.0])
            place = root / side / f"p{number:02}.nii.gz"
            place.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values[::-1] if flipped else values, affine), place)


if __name__ == "__main__":
    write_phantoms(Path(sys.argv[1]))
