"""What images are: their specs, and one pair of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["intensity", "labels"]


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What one image of every pair is.

    Args:
        channels: Planes of the tensor a network sees; for labels the number of classes.
        kind: `intensity` for values on a scale; `labels` for an index map, which networks see as one plane a class.
        low: The stored value that becomes -1.
        high: The stored value that becomes 1 (255 for 8-bit images, 65535 for 16-bit ones).
        palette: Colours to show the classes in, red-green-blue of 0..255; labels only.
        unlabelled: Classes that mean that a pixel's class is not known; losses and metrics of classes pass these
            pixels over.
        lightness: Whether a colour image becomes one plane by its CIE lightness and not by its luma.
    """

    channels: int
    kind: Kind = "intensity"
    low: float = 0.0
    high: float = 255.0
    palette: tuple[tuple[int, int, int], ...] = ()
    unlabelled: tuple[int, ...] = ()
    lightness: bool = False


@dataclass(frozen=True, slots=True)
class PairSpec:
    """What the images of a run are; a component's factory gets it as `images`.

    Args:
        source: The image that the generator is given.
        target: The image that it should make.
        height: Rows of both images, in pixels.
        width: Columns of both images, in pixels.
    """

    source: ImageSpec
    target: ImageSpec
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One source image and the target image that belongs to it, as stored.

    Shape: source (C_stored, H, W), target (C_stored, H, W); integer or float values between the spec's `low` and
    `high`; a label map has one plane, which holds the classes' indices.
    """

    source: Tensor
    target: Tensor
    name: str
