"""Phantoms: a head of ellipsoids, as MR and as CT see it."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np


def phantom(seed, shape):
    """Return an MR and a CT of the same head, (X, Y, Z) as NIfTI has it, in int16."""
    dice = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))
    mr, ct = np.zeros(shape), np.full(shape, -1000.0)
    head = dice.uniform(0.7, 0.9, 3)
    parts = [(head, (0, 0, 0), (500, 60)), (head * 0.93, (0, 0, 0), (60, 900)), (head * 0.85, (0, 0, 0), (700, 35))]
    for _ in range(5):
        tissue = [(1000, 5), (300, 70), (850, 20)][dice.integers(3)]
        parts.append((dice.uniform(0.1, 0.25, 3), dice.uniform(-0.4, 0.4, 3), tissue))
    for radius, centre, (bright, dense) in parts:
        distance = (grid - np.reshape(centre, (3, 1, 1, 1))) / np.reshape(radius, (3, 1, 1, 1))
        inside = (distance**2).sum(0) < 1
        mr[inside], ct[inside] = bright, dense
    mr = mr * dice.uniform(0.7, 1.4) + dice.normal(0, 15, shape)
    ct = ct + dice.normal(0, 8, shape)
    return mr.clip(0).astype(np.int16), ct.round().astype(np.int16)


def write_phantoms(root, count, shape):
    """Write phantoms as NIfTI, every other one with its columns the other way round, as scanners do."""
    for number in range(count):
        for side, values in zip(("source", "target"), phantom(number, shape), strict=True):
            flipped = number % 2 == 1
            affine = np.diag([-2.0 if flipped else 2.0, 2.0, 3.0, 1.0])
            place = Path(root, side, f"p{number:02}.nii.gz")
            place.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values[::-1] if flipped else values, affine), place)
