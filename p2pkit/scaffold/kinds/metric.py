"""A metric to begin with: the root mean squared error in windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import p2pkit

if TYPE_CHECKING:
    from torchmetrics import Metric

P2PKIT_PLUGIN_API = 2


def windowed_rmse(
    images: p2pkit.PairSpec,
    *,
    window: Annotated[int, Field(ge=2, le=256, description="Side of the windows, in pixels.")] = 8,
) -> Metric:
    """Root mean squared difference of fake and target in windows, mean over windows: 0 for equal images, at most 2.

    A few spots that are very wrong count for more than in the mean over all pixels.

    Args:
        images: What the run's images are.
        window: Side of the windows, in pixels.

    Returns:
        The metric; lower is better.

    Raises:
        ComponentError: The images are smaller than a window.

    Shape: fake, target (B, C_target, H, W) in [-1, 1] -> scalar.
    Source: torchmetrics.image.RootMeanSquaredErrorUsingSlidingWindow.
    """
    from torchmetrics.image import RootMeanSquaredErrorUsingSlidingWindow  # imported by the runs that want it

    if min(images.height, images.width) < window:
        raise p2pkit.ComponentError(
            f"windows of {window} x {window} pixels don't fit in images of {images.height} x {images.width}",
            remedy="use a smaller window, or larger images",
            parameter="window",
        )
    metric: Metric = RootMeanSquaredErrorUsingSlidingWindow(window)
    return metric


@p2pkit.hookimpl
def p2pkit_metrics() -> Iterator[p2pkit.Metric]:
    """Offer this plugin's metrics."""
    yield p2pkit.Metric("windowed_rmse", windowed_rmse)
