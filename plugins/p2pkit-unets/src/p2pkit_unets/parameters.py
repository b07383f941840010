"""The parameters that the four networks share, and the check of the images' size."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from p2pkit import ComponentError, PairSpec
from p2pkit.layers import halvings, nearest_size, widths

Depth = Annotated[int, Field(ge=1, le=8, description="Number of halvings of the image's sides.")]
MaxWidth = Annotated[
    int | None, Field(ge=1, le=8192, description="Channels that no level exceeds; by default 16 x width.")
]
Upsampling = Annotated[
    Literal["nearest", "bilinear", "transposed"],
    Field(description="How sides are doubled: two interpolations without weights, or a learnt 2 x 2 convolution."),
]
Interpolation = Annotated[
    Literal["nearest", "bilinear"], Field(description="How lower levels are enlarged to the size of a node.")
]


def level_widths(width: int, depth: int, max_width: int | None) -> list[int]:
    """Return the channels of each level, full size first.

    Args:
        width: Channels at full size.
        depth: Number of halvings.
        max_width: Channels that no level exceeds; by default 16 times `width`.
    """
    return widths(width, depth + 1, 16 * width if max_width is None else max_width)


def check_size(images: PairSpec, depth: int, norm: str) -> None:
    """Refuse images that can't be halved so often, or whose lowest level is too small to normalise.

    Args:
        images: What the run's images are.
        depth: Number of halvings.
        norm: Normalisation.

    Raises:
        ComponentError: The sides are not multiples of 2**depth, or a norm would see a single pixel.
    """
    multiple, size = 2**depth, f"{images.height} x {images.width}"
    fitting = _deepest(images, norm)
    if depth <= fitting:
        return
    cause = f"depth {depth} needs sides that are multiples of {multiple}, the images are {size}"
    least = 1
    if images.height == images.width == multiple:
        cause = f"depth {depth} leaves one pixel of {size}, which {norm} norm can't normalise"
        least = 2 * multiple
    shallower = f"use depth {fitting} or less, or " if fitting else ""
    remedy = f"{shallower}resize the images, for instance to {nearest_size(images, multiple, least)}"
    raise ComponentError(cause, remedy=remedy, parameter="depth")


def _deepest(images: PairSpec, norm: str) -> int:
    """Return how often both sides can be halved; a norm needs more than one pixel to be left."""
    deepest = halvings(images)
    one_pixel = images.height == images.width == 2**deepest
    return deepest - 1 if one_pixel and norm != "none" else deepest
