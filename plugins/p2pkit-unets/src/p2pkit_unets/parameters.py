"""The parameters that the four networks share, and the check of the images' size."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from p2pkit import ComponentError, PairSpec

Depth = Annotated[int, Field(ge=1, le=8, description="Number of halvings of the image's sides.")]
Width = Annotated[int, Field(ge=1, le=1024, description="Channels at full size; each halving doubles them.")]
MaxWidth = Annotated[
    int | None, Field(ge=1, le=8192, description="Channels that no level exceeds; by default 16 x width.")
]
Norm = Annotated[
    Literal["batch", "instance", "group", "none"], Field(description="Normalisation of the 3 x 3 convolutions.")
]
Upsampling = Annotated[
    Literal["nearest", "bilinear", "transposed"],
    Field(description="How sides are doubled: two interpolations without weights, or a learnt 2 x 2 convolution."),
]
Interpolation = Annotated[
    Literal["nearest", "bilinear"], Field(description="How lower levels are enlarged to the size of a node.")
]
Dropout = Annotated[
    float, Field(ge=0, lt=1, description="Share of activations that decoder nodes below full size set to zero.")
]
InitStd = Annotated[float, Field(gt=0, le=1, description="Standard deviation of the initial weights.")]


def widths(width: int, depth: int, max_width: int | None) -> list[int]:
    """Return the channels of each level, full size first."""
    cap = 16 * width if max_width is None else max_width
    return [min(width * 2**level, cap) for level in range(depth + 1)]


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
        least = 2
    shallower = f"use depth {fitting} or less, or " if fitting else ""
    sides = (max(least, round(side / multiple)) * multiple for side in (images.height, images.width))
    remedy = f"{shallower}resize the images, for instance to {' x '.join(map(str, sides))}"
    raise ComponentError(cause, remedy=remedy, parameter="depth")


def _deepest(images: PairSpec, norm: str) -> int:
    """Return how often both sides can be halved; a norm needs more than one pixel to be left."""
    common = math.gcd(images.height, images.width)
    halvings = (common & -common).bit_length() - 1
    one_pixel = images.height == images.width == 2**halvings
    return halvings - 1 if one_pixel and norm != "none" else halvings
