"""Data sets of plain photos, whose sources are made from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

import p2pkit
from p2pkit import ImageSpec
from p2pkit.builtin.datasets.file_pairs import FileDataset, open_pairs
from p2pkit.builtin.datasets.layouts import HeldOut, Root, photos
from p2pkit.builtin.datasets.sides import FloatRange, Intensity, Size, TargetChannels

Detector = Literal["canny", "sobel"]
PhotoHalf = Annotated[
    Literal["whole", "left", "right"],
    Field(description="The part of each file that is the photo; a half for files of side_by_side."),
]


@dataclass(frozen=True)
class Lightness:
    """CIE lightness of a photo."""

    def spec(self, photo: ImageSpec) -> ImageSpec:
        """One plane on the photo's scale."""
        return replace(photo, channels=1, lightness=True)

    def __call__(self, photo: Tensor, spec: ImageSpec) -> Tensor:
        """Take the lightness.

        Shape: (3, H, W) -> (1, H, W), of the same type.
        """
        return p2pkit.conform(photo, self.spec(spec))


@dataclass(frozen=True)
class Edges:
    """Edges of a photo, as dark lines on white.

    Args:
        detector: `canny` or `sobel`.
        low: Slope below which nothing is an edge; white to black is 4.
        high: Slope from which on everything is an edge.
    """

    detector: Detector
    low: float
    high: float

    def spec(self, photo: ImageSpec) -> ImageSpec:
        """One plane of 8 bits."""
        return ImageSpec(1)

    def __call__(self, photo: Tensor, spec: ImageSpec) -> Tensor:
        """Find the edges.

        Shape: (C, H, W) -> (1, H, W), uint8.
        """
        from kornia.filters import canny, sobel

        luma = replace(spec, channels=1)
        grey = (p2pkit.to_network(p2pkit.conform(photo, luma)[None], luma) + 1) / 2
        if self.detector == "canny":
            lines: Tensor = canny(grey, self.low, self.high)[1][0]
        else:
            lines = (sobel(grey, normalized=False)[0] - self.low) / (self.high - self.low)
        return ((1 - lines.clamp(0, 1)) * 255).round().to(torch.uint8)


def colorize(
    *,
    root: Root,
    half: PhotoHalf = "whole",
    size: Size = None,
    float_range: FloatRange = (0.0, 1.0),
    held_out: HeldOut = 0.1,
) -> FileDataset:
    """Photos as targets, and their lightness as sources.

    The files are in folders train, val and test, as many as there are; without these, the files directly in `root`
    are split by their names.

    Raises:
        p2pkit.ComponentError: There are no photos, or the first can't be used.
    """
    target = Intensity("root", 3, float_range)
    return open_pairs(photos(root, half, held_out), size=size, source=Lightness(), target=target)


def edges(
    *,
    root: Root,
    half: PhotoHalf = "whole",
    detector: Annotated[
        Detector, Field(description="`canny` draws thin lines, `sobel` the slopes' strength in grey.")
    ] = "canny",
    low: Annotated[
        float, Field(ge=0, le=4, description="Slope below which nothing is an edge; white to black is 4.")
    ] = 0.3,
    high: Annotated[float, Field(gt=0, le=8, description="Slope from which on everything is an edge.")] = 0.8,
    size: Size = None,
    target_channels: TargetChannels = None,
    float_range: FloatRange = (0.0, 1.0),
    held_out: HeldOut = 0.1,
) -> FileDataset:
    """Photos as targets, and their edges as sources, dark on white.

    Edges are found at the size at which the images are used. The files lie as for `colorize`.

    Raises:
        p2pkit.ComponentError: There are no photos, or the first can't be used, or `low` is not below `high`.
    """
    if low >= high:
        raise p2pkit.ComponentError(f"low: {low:g} is not below high: {high:g}", parameter="low")
    target = Intensity("target_channels", target_channels, float_range)
    source = Edges(detector, low, high)
    return open_pairs(photos(root, half, held_out), size=size, source=source, target=target)
