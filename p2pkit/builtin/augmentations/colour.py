"""Changes of colour."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from p2pkit import ComponentError, ImageSpec, PairSpec


class ColourJitter:
    """Random brightness, contrast, saturation and hue; the same change for both images of a pair."""

    moves = False

    def __init__(
        self,
        images: PairSpec,
        *,
        brightness: Annotated[
            float, Field(ge=0, le=1, description="Largest change of the factor of brightness.")
        ] = 0.2,
        contrast: Annotated[float, Field(ge=0, le=1, description="Largest change of the factor of contrast.")] = 0.2,
        saturation: Annotated[
            float, Field(ge=0, le=1, description="Largest change of the factor of saturation; colour images only.")
        ] = 0.2,
        hue: Annotated[
            float, Field(ge=0, le=0.5, description="Largest turn of the hue, as a share of the circle; colour only.")
        ] = 0.0,
        apply_to: Annotated[
            Literal["source", "target", "both"], Field(description="The image of a pair that is changed.")
        ] = "both",
    ) -> None:
        self.ranges = torch.tensor([brightness, contrast, saturation, hue])
        self.coloured, self.hued = saturation > 0, hue > 0
        self.sides = tuple(apply_to in (side, "both") for side in ("source", "target"))
        for side, spec, chosen in zip(("source", "target"), (images.source, images.target), self.sides, strict=True):
            if chosen:
                self._check(side, spec)

    def _check(self, side: str, spec: ImageSpec) -> None:
        if spec.kind == "labels":
            other = "target" if side == "source" else "source"
            remedy = f"change the other image alone: apply_to: {other}"
            raise ComponentError(
                f"the {side} is a label map, which has no colours", remedy=remedy, parameter="apply_to"
            )
        if spec.channels != 3 and (self.coloured or self.hued):
            cause = f"the {side} has {spec.channels} channels, where saturation and hue need 3"
            remedy = "set saturation and hue to 0, or apply_to to an image in colour"
            raise ComponentError(cause, remedy=remedy, parameter="saturation" if self.coloured else "hue")

    def __call__(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Change a batch."""
        drawn = (torch.rand(len(source), 4) * 2 - 1) * self.ranges
        drawn = drawn.to(source.device, source.dtype, non_blocking=source.is_cuda)
        on_source, on_target = self.sides
        return self._change(source, drawn) if on_source else source, self._change(
            target, drawn
        ) if on_target else target

    def _change(self, batch: Tensor, drawn: Tensor) -> Tensor:
        from kornia import enhance

        brightness, contrast, saturation, hue = drawn.T
        values = enhance.adjust_brightness_accumulative((batch + 1) / 2, 1 + brightness)
        values = enhance.adjust_contrast_with_mean_subtraction(values, 1 + contrast)
        if self.coloured:
            values = enhance.adjust_saturation_with_gray_subtraction(values, 1 + saturation)
        if self.hued:
            values = enhance.adjust_hue(values, hue * 2 * torch.pi)
        changed: Tensor = values * 2 - 1
        return changed
