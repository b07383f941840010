"""Which values a side's files hold, seen in a sample of them, and the line that declares their range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import p2pkit
from p2pkit import ImageSpec

Range = tuple[float, float] | str | None
WINDOWS = {
    "brain": (0.0, 80.0),
    "subdural": (-25.0, 175.0),
    "stroke": (20.0, 60.0),
    "bone": (-500.0, 1300.0),
    "soft_tissue": (-150.0, 250.0),
    "mediastinum": (-125.0, 225.0),
    "lung": (-1350.0, 150.0),
    "liver": (-45.0, 105.0),
}
"""Windows of CT in Hounsfield units: level minus and plus half of the width, as radiologists use them."""
_DEPTHS = (10, 12, 14, 15)


@dataclass(frozen=True)
class Found:
    """An image of the sample.

    Args:
        file: Where it is.
        image: As it is stored.
    """

    file: str
    image: Tensor


def extent(sample: Sequence[Found]) -> tuple[float, float, str]:
    """Return the least and the largest value, and the file that holds the one that is farthest out."""
    ends = [tuple(float(end) for end in _plain(found.image).aminmax()) for found in sample]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    farthest = max(range(len(ends)), key=lambda index: max(map(abs, ends[index])))
    return low, high, sample[farthest].file


def line(sample: Sequence[Found], side: str) -> str:
    """Return the line of a config that declares a range which holds the sample's values."""
    low, high, _ = extent(sample)
    if low >= 0 and high <= 255:
        low, high = 0, 255
    elif low >= 0 and all(not found.image.is_floating_point() for found in sample):
        low, high = 0, next((2**bits - 1 for bits in _DEPTHS if high < 2**bits), 65535 if high < 65536 else high)
    else:
        step = 10 ** math.floor(math.log10(max(high - low, 1e-30))) / 10
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return f"{side}_range: [{low:g}, {high:g}]"


def told(sample: Sequence[Found], spec: ImageSpec, side: str, *, declared: bool) -> list[str]:
    """Say what lies outside of a range, or far inside.

    Args:
        sample: Images that stand for all.
        spec: The range that is meant.
        side: `source` or `target`, as it is written in the config.
        declared: Whether the range was written by the user, or taken from the type of the numbers.

    Raises:
        p2pkit.ComponentError: Floats are on another scale than the one that is meant where none is declared.
    """
    low, high, where = extent(sample)
    width = spec.high - spec.low
    floats = any(found.image.is_floating_point() for found in sample)
    if not declared and floats and (low < spec.low - width / 2 or high > spec.high + width / 2):
        cause = f"{where} holds values from {low:g} to {high:g}, where {spec.low:g} to {spec.high:g} is meant"
        raise p2pkit.ComponentError(cause, remedy=f"write {line(sample, side)}", parameter=f"{side}_range")
    if low < spec.low or high > spec.high:
        values = torch.cat([_plain(found.image).flatten() for found in sample])
        share = ((values < spec.low) | (values > spec.high)).float().mean().item()
        return [
            f"{share:.2%} of the values of {len(sample)} {side}s are outside {spec.low:g} to {spec.high:g} and are cut "
            f"off; they are {low:g} to {high:g} -> {line(sample, side)} keeps them"
        ]
    if not declared and spec.high == 65535 and high < 2 ** _DEPTHS[-2]:
        return [f"the {side}s hold values up to {high:g} of 65535 -> {line(sample, side)} uses the whole scale"]
    return []


def undeclared(sample: Sequence[Found], side: str, cause: str) -> p2pkit.ComponentError:
    """Return the error that names the range which the sample has, as a line to write."""
    low, high, where = extent(sample)
    cause = (
        f"the {side} {where} {cause}: its values, and those of {len(sample) - 1} more files, are {low:g} to {high:g}"
    )
    return p2pkit.ComponentError(cause, remedy=f"write {line(sample, side)}", parameter=f"{side}_range")


def _plain(image: Tensor) -> Tensor:
    return image.to(torch.int32) if image.dtype == torch.uint16 else image
