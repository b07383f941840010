"""What one image of every pair should be, and the parameters that say so."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Protocol

import torch
from pydantic import Field
from torch import Tensor

import p2pkit
from p2pkit import ImageSpec

Side = Annotated[int, Field(ge=1, le=16384)]
Size = Annotated[
    Side | tuple[Side, Side] | None,
    Field(description="Side, or height and width, that images are resized to; null: as the first target."),
]
SourceChannels = Annotated[
    int | None, Field(ge=1, le=1024, description="Channels of the source; null: as the first file has.")
]
TargetChannels = Annotated[
    int | None, Field(ge=1, le=1024, description="Channels of the target; null: as the first file has.")
]
FloatRange = Annotated[
    tuple[float, float], Field(description="Values of float images that become -1 and 1; others keep their full scale.")
]


@dataclass(frozen=True)
class Intensity:
    """Values on a scale, with the channels given or those of the first file.

    Args:
        parameter: The parameter to blame where the channels don't fit.
        channels: Channels wanted; by default those of the first file.
        float_range: Values of float images that become -1 and 1.
    """

    parameter: str
    channels: int | None
    float_range: tuple[float, float] = (0.0, 1.0)
    indexed: ClassVar[bool] = False

    def spec(self, first: Tensor) -> ImageSpec:
        """Take the scale from the first image's type; `ComponentError` where it can't have the channels."""
        spec = ImageSpec(self.channels or first.shape[0])
        if first.dtype == torch.uint16:
            spec = replace(spec, high=65535.0)
        elif first.is_floating_point():
            low, high = self.float_range
            if not low < high:
                cause = f"the lower end {low:g} is not below the upper end {high:g}"
                raise p2pkit.ComponentError(cause, parameter="float_range")
            if (low, high) in ((0, 255), (0, 65535)):  # a hair more, or floats would be taken for whole numbers
                high = math.nextafter(high, math.inf)
            spec = replace(spec, low=low, high=high)
        try:
            p2pkit.conform(first[:, :1, :1], spec)
        except OSError as error:
            remedy = f"give {first.shape[0]}, or leave it out" if self.parameter.endswith("channels") else ""
            raise p2pkit.ComponentError(f"the first image {error}", remedy=remedy, parameter=self.parameter) from None
        return spec


@dataclass(frozen=True)
class Labels:
    """Indices of classes, or colours that stand for them.

    Args:
        classes: Number of classes.
        palette: Colour of each class, for masks that are coloured.
        unlabelled: Indices that stand for no class.
    """

    classes: int
    palette: tuple[tuple[int, int, int], ...] = ()
    unlabelled: tuple[int, ...] = ()
    indexed: ClassVar[bool] = True

    def spec(self, first: Tensor) -> ImageSpec:
        """Check that the first mask has indices, or colours and a palette to decode them."""
        if first.shape[0] == 1 or (self.palette and first.shape[0] in (3, 4)):
            return ImageSpec(self.classes, kind="labels", palette=self.palette, unlabelled=self.unlabelled)
        cause = f"the first mask has {first.shape[0]} channels, not one of class indices"
        remedy = "list the red, green and blue of each class, in the order of the classes"
        raise p2pkit.ComponentError(cause, remedy=remedy, parameter="palette")


class Derivation(Protocol):
    """A way to make the source out of the target."""

    def spec(self, photo: ImageSpec) -> ImageSpec:
        """Return what the source is, given what the target is."""
        ...

    def __call__(self, photo: Tensor, spec: ImageSpec) -> Tensor:
        """Make the stored source of a stored target; `OSError` where it can't be made."""
        ...
