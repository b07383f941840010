"""Decoded pairs held against what their data set says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import PurePosixPath

import torch
from torch import Tensor

from p2pkit.errors import DataError, Problem
from p2pkit.types import ImageSpec, Pair, PairSpec, VectorSpec, times
from p2pkit.types.images import SIDES
from p2pkit.untyped import Made

_SCALE = 16.0
"""From this upper end on, images whose values all lie in 0..1 are taken to be on another scale."""


def hold_against(images: PairSpec | None, decode: Callable[[], Pair]) -> Pair:
    """Decode a pair, and refuse one that is not what the data set's spec says.

    Args:
        images: The spec; None where the pairs are known to be right.
        decode: Decodes the pair.

    Raises:
        DataError: The pair is of another type, layout, size or scale; it is named.
    """
    pair: Made = decode()
    if images is None:
        return pair  # type: ignore[no-any-return]  # as it is
    if not isinstance(pair, Pair):
        raise DataError(Problem("dataset", f"gave a {type(pair).__name__} where a p2pkit.Pair is wanted"))
    if cause := _bad_name(pair.name):
        raise DataError(Problem("dataset", f"a pair's name {cause}", "name pairs as files in a folder: train/0001"))
    size = images.size
    if pair.extras.keys() != images.given.keys():
        found, wanted = (", ".join(sorted(names)) or "none" for names in (pair.extras, images.given))
        remedy = "let each pair hold what the data set's spec says in its extras"
        raise DataError(Problem(str(pair.name), f"its extras are {found}, where {wanted} is stated", remedy))
    for side, spec in images.stored.items():
        each = pair.stored[side]
        if cause := _misfit(each, spec, size) if isinstance(spec, ImageSpec) else _wrong_vector(each, spec):
            remedy = "let the data set's spec say what its images are, or return them so"
            raise DataError(Problem(str(pair.name), f"its {side} {cause}", remedy))
    return pair


def _bad_name(name: object) -> str:
    """Say why a pair's name can't become that of a file; empty where it can."""
    if not isinstance(name, str) or not name:
        return f"is {name!r} and no text"
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not name.isprintable():
        return f"{name[:80]!r} leads out of the folder that its pictures are written to"
    return ""


def _misfit(image: object, spec: ImageSpec, size: tuple[int, ...]) -> str:
    """Say in what an image differs from its spec; empty where it does not."""
    if not isinstance(image, Tensor):
        return f"is a {type(image).__name__} and not a torch.Tensor"
    planes = 1 if spec.kind == "labels" else spec.channels
    if tuple(image.shape) != (planes, *size):
        found, wanted = times(image.shape), times((planes, *size))
        return f"is of shape {found}, where {wanted} is stated (channels x {SIDES[len(size)]})"
    if spec.kind == "labels":
        return _wrong_classes(image, spec)
    if not image.is_floating_point():
        kind = torch.iinfo(image.dtype) if image.dtype != torch.bool else None
        if kind is None or (spec.low <= kind.min and kind.max <= spec.high):
            return ""
    low, high = (float(value) for value in image.aminmax()) if image.dtype != torch.uint16 else _ends(image)
    if not (math.isfinite(low) and math.isfinite(high)):
        return "has values that are not finite"
    if low < spec.low or high > spec.high:
        return f"has values from {low:g} to {high:g}, where {spec.low:g} to {spec.high:g} is stated"
    return ""


def _wrong_vector(vector: object, spec: VectorSpec) -> str:
    """Say in what a vector or a class differs from its spec; empty where it does not."""
    if not isinstance(vector, Tensor):
        return f"is a {type(vector).__name__} and not a torch.Tensor"
    wanted = () if spec.kind == "class" else (spec.size,)
    if tuple(vector.shape) != wanted:
        return f"is of shape {list(vector.shape)}, where {list(wanted)} is stated"
    if spec.kind == "class":
        whole = not vector.is_floating_point() and 0 <= int(vector) < spec.size
        return "" if whole else f"is {vector.item():g}, where a class from 0 to {spec.size - 1} is stated"
    return "" if bool(vector.isfinite().all()) else "has values that are not finite"


def _wrong_classes(image: Tensor, spec: ImageSpec) -> str:
    if image.is_floating_point():
        return f"is a label map of {image.dtype}, where whole numbers are wanted"
    known = image.to(torch.int64)
    for index in spec.unlabelled:
        known = known[known != index]
    low, high = _ends(known) if known.numel() else (0.0, 0.0)
    if low < 0 or high >= spec.channels:
        return f"has classes from {low:g} to {high:g}, where 0 to {spec.channels - 1} is stated"
    return ""


def _ends(image: Tensor) -> tuple[float, float]:
    low, high = image.to(torch.int64).aminmax()
    return float(low), float(high)


class ScaleCheck:
    """Finds images of floats in 0..1 whose spec says that they reach to 255: each may be dark, all can't be."""

    def __init__(self, images: PairSpec | None) -> None:
        self._specs = images.images if images is not None else {}
        self._largest = dict.fromkeys(self._specs, 0.0)

    def see(self, pair: Pair) -> None:
        """Take note of a pair."""
        for side in self._specs:
            image = pair.stored[side]
            whole = not image.is_floating_point()
            self._largest[side] = float("inf") if whole else max(self._largest[side], float(image.max()))

    def problems(self) -> list[Problem]:
        """Say which of the images are on another scale, once all pairs have been seen."""
        return [
            Problem(
                "dataset",
                f"no {side} has a value above {self._largest[side]:g}, where up to {spec.high:g} is stated",
                "say low and high of its scale in the spec, e.g. p2pkit.ImageSpec(3, low=0, high=1)",
            )
            for side, spec in self._specs.items()
            if spec.kind == "intensity" and spec.low == 0 and spec.high >= _SCALE and 0 < self._largest[side] <= 1
        ]
