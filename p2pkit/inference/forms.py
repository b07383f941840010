"""The form in which a program takes and gives images and vectors, where a network takes what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from p2pkit.extras.values import seen, stored
from p2pkit.types import ExtraSpec, ImageSpec

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
