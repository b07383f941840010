"""A metric to begin with: the mean squared error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import p2pkit

if TYPE_CHECKING:
    from torchmetrics import Metric

P2PKIT_PLUGIN_API = 1


def mean_squared_error(
    *, root: Annotated[bool, Field(description="Whether the root of the mean is taken.")] = False
) -> Metric:
    """Mean squared difference of fake and target, by torchmetrics: 0 for equal images, at most 4.

    Args:
        root: Whether the root of the mean is taken, so that it is measured in the images' own unit.

    Returns:
        The metric; lower is better.

    Shape: fake, target (B, C_target, H, W) in [-1, 1] -> scalar.
    Source: torchmetrics.MeanSquaredError.
    """
    from torchmetrics import MeanSquaredError  # only the run that asks for it pays for the import

    metric: Metric = MeanSquaredError(squared=not root)
    return metric


@p2pkit.hookimpl
def p2pkit_metrics() -> Iterator[p2pkit.Metric]:
    """Offer this plugin's metrics."""
    yield p2pkit.Metric("mean_squared_error", mean_squared_error)
