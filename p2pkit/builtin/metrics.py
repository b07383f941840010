"""Metrics of the distance between fake and target, by torchmetrics."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

import p2pkit
from p2pkit import ComponentError, PairSpec

WINDOW = 11


def l1() -> nn.Module:
    """Mean absolute difference, of images in [-1, 1]: 0 for equal images, at most 2.

    Returns:
        The metric; lower is better.
    """
    from p2pkit.builtin.scores import AbsoluteDifference

    return AbsoluteDifference()


def psnr() -> nn.Module:
    """Peak signal-to-noise ratio in decibels, mean over images.

    An image that is equal to its target has an infinite value, and so has the mean then.

    Returns:
        The metric; higher is better.
    """
    from torchmetrics.image import PeakSignalNoiseRatio

    metric: nn.Module = PeakSignalNoiseRatio(data_range=2.0, reduction="elementwise_mean", dim=(1, 2, 3))
    return metric


def ssim(images: PairSpec) -> nn.Module:
    """Structural similarity (SSIM), mean over images; 1 for equal ones.

    It is computed in Gaussian windows of 11 x 11 pixels, of images brought to [0, 1], as usual: SSIM depends on
    where black is.

    Args:
        images: What the run's images are.

    Returns:
        The metric; higher is better.

    Raises:
        ComponentError: The images are smaller than a window.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, equation 13.
    """
    from p2pkit.builtin.scores import Similarity

    check_windows(images)
    return Similarity(data_range=1.0)


def check_windows(images: PairSpec) -> None:
    """Refuse images that are smaller than a window of SSIM."""
    if min(images.height, images.width) < WINDOW:
        size = f"{images.height} x {images.width}"
        raise ComponentError(
            f"ssim compares windows of {WINDOW} x {WINDOW} pixels, the images are {size}",
            remedy="leave ssim out, or use larger images",
        )


@p2pkit.hookimpl
def p2pkit_metrics() -> Iterator[p2pkit.Metric]:
    """Offer the built-in metrics."""
    yield p2pkit.Metric("l1", l1)
    yield p2pkit.Metric("psnr", psnr)
    yield p2pkit.Metric("ssim", ssim)
