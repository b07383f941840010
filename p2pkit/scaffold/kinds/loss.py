"""A loss to begin with: the difference of gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field
from torch import Tensor

import p2pkit

P2PKIT_PLUGIN_API = 2


class GradientDifference:
    """How much the steps between neighbouring pixels differ in size, in fake and target.

    It asks for edges as strong as the target's, whatever lies between them; use it beside a loss of the values.

    Args:
        power: Power of the difference.

    Shape: view's fake and target (B, C_target, H, W) in [-1, 1] -> scalar, 0 for equal images.
    Source: Mathieu et al. 2016, arXiv:1511.05440, equation 6; a mean here, and not a sum.
    """

    def __init__(
        self, *, power: Annotated[float, Field(ge=1, le=4, description="Power of the difference.")] = 1.0
    ) -> None:
        self.power = power

    def generator(self, view: p2pkit.View) -> Tensor:
        """The difference along columns plus that along rows."""
        return self._along(view, -2) + self._along(view, -1)

    def _along(self, view: p2pkit.View, axis: int) -> Tensor:
        fake, target = view.fake.diff(dim=axis).abs(), view.target.diff(dim=axis).abs()
        return (fake - target).abs().pow(self.power).mean()


@p2pkit.hookimpl
def p2pkit_losses() -> Iterator[p2pkit.Loss]:
    """Offer this plugin's losses."""
    yield p2pkit.Loss("gradient_difference", GradientDifference)
