"""Decoded pairs held against what their data set says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import PurePosixPath

import torch
from torch import Tensor

from p2pkit.errors import DataError, Problem
from p2pkit.types import ImageSpec, Pair, PairSpec
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
    size = images.height, images.width
    for side, image, spec in (("source", pair.source, images.source), ("target", pair.target, images.target)):
        if cause := _misfit(image, spec, size):
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


def _misfit(image: object, spec: ImageSpec, size: tuple[int, int]) -> str:
    """Say in what an image differs from its spec; empty where it does not."""
    if not isinstance(image, Tensor):
        return f"is a {type(image).__name__} and not a torch.Tensor"
    planes = 1 if spec.kind == "labels" else spec.channels
    if tuple(image.shape) != (planes, *size):
        found, wanted = _times(image.shape), _times((planes, *size))
        return f"is of shape {found}, where {wanted} is stated (channels x height x width)"
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


def _times(shape: tuple[int, ...] | torch.Size) -> str:
    return " x ".join(map(str, shape))


class ScaleCheck:
    """Finds images of floats in 0..1 whose spec says that they reach to 255: each may be dark, all can't be."""

    def __init__(self, images: PairSpec | None) -> None:
        self._largest = dict.fromkeys(("source", "target"), 0.0)
        self._images = images

    def see(self, pair: Pair) -> None:
        """Take note of a pair."""
        if self._images is None:
            return
        for side, image in (("source", pair.source), ("target", pair.target)):
            whole = not image.is_floating_point()
            self._largest[side] = float("inf") if whole else max(self._largest[side], float(image.max()))

    def problems(self) -> list[Problem]:
        """Say which of the images are on another scale, once all pairs have been seen."""
        if self._images is None:
            return []
        specs = {"source": self._images.source, "target": self._images.target}
        return [
            Problem(
                "dataset",
                f"no {side} has a value above {self._largest[side]:g}, where up to {spec.high:g} is stated",
                "say low and high of its scale in the spec, e.g. p2pkit.ImageSpec(3, low=0, high=1)",
            )
            for side, spec in specs.items()
            if spec.kind == "intensity" and spec.low == 0 and spec.high >= _SCALE and 0 < self._largest[side] <= 1
        ]
