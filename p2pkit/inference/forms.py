"""The forms in which images and vectors are taken and given, where a network takes what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from p2pkit.extras.values import seen, stored
from p2pkit.types import ExtraSpec, ImageFile, ImageSpec

Layout = Literal["NCHW", "NHWC"]


@dataclass(frozen=True, slots=True)
class Form:
    """How a program's values lie.

    Args:
        stored: Whether they are as stored, and not as networks see them.
        layout: Whether an image's channels come before the rows or last.
    """

    stored: bool = False
    layout: Layout = "NCHW"

    def of(self, values: Tensor, spec: ExtraSpec) -> Tensor:
        """Bring what networks see into this form.

        Shape: (B, C, H, W) -> the same, or (B, H, W, C); vectors (B, size) -> the same, or classes (B,).
        """
        held = stored(values, spec) if self.stored else values
        last = isinstance(spec, ImageSpec) and self.layout == "NHWC"
        return held.permute(0, 2, 3, 1).contiguous() if last else held

    def seen(self, values: Tensor, spec: ExtraSpec) -> Tensor:
        """Bring values of this form into what networks see; the inverse of `of`."""
        last = isinstance(spec, ImageSpec) and self.layout == "NHWC"
        held = values.permute(0, 3, 1, 2) if last else values
        return seen(held, spec) if self.stored else held


def like(given: object, fake: Tensor) -> Tensor | NDArray[np.generic] | Image.Image | ImageFile:
    """Return a fake in the form in which its source was given: a tensor, an array, a picture where Pillow holds it."""
    if isinstance(given, Tensor):
        return fake
    array = fake.movedim(0, -1).numpy()
    if isinstance(given, ImageFile):
        meta = given.meta if array.shape[:-1] == given.pixels.shape[: array.ndim - 1] else None
        return ImageFile(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array, meta)
    held = array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] <= 4
    held = held or (array.shape[2] == 1 and array.dtype in (np.uint16, np.int32, np.float32))
    if isinstance(given, np.ndarray) or not held:
        return array
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
