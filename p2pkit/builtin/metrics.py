"""Metrics of the distance between fake and target, by torchmetrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import nn

import p2pkit
from p2pkit import ComponentError, PairSpec
from p2pkit.builtin import feature_metrics
from p2pkit.builtin.segmentation import Architecture, check_labels, load_network

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


def ms_ssim(images: PairSpec) -> nn.Module:
    """Multi-scale structural similarity (MS-SSIM), mean over images; 1 for equal ones.

    Structural similarity at five scales, each half as large as the one before, with the paper's weights. Images are
    brought to [0, 1]; where an image is so unlike its target that a scale is negative, that scale counts as 0.

    Args:
        images: What the run's images are.

    Returns:
        The metric; higher is better.

    Raises:
        ComponentError: At the fifth scale the images are smaller than a window.

    Source: Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216, equation 7.
    """
    from p2pkit.builtin.scores import ScaledSimilarity

    check_windows(images, "ms_ssim", scales=5)
    return ScaledSimilarity(data_range=1.0)


def segmentation(images: PairSpec) -> nn.Module:
    """Pixel accuracy, mean accuracy of the classes and their mean intersection over union, for targets that are labels.

    Each pixel of a fake counts as the class whose plane is largest there. Pixels of unlabelled classes are passed over.

    Args:
        images: What the run's images are.

    Returns:
        The metric, of three values: `pixel_accuracy`, `class_accuracy` and `class_iou`; higher is better.

    Raises:
        ComponentError: The targets are not labels.

    Source: Long et al. 2015, arXiv:1411.4038, section 5.
    """
    from p2pkit.builtin.class_scores import ClassScores

    check_labels(images, "segmentation")
    return ClassScores(images.target)


def fcn_score(
    images: PairSpec,
    *,
    network: Annotated[
        Path, Field(description="Folder of a run or checkpoint that was trained on real photos, or a file of weights.")
    ],
    architecture: Annotated[
        Architecture | None, Field(description="For a file of weights, torchvision's network that they are of.")
    ] = None,
) -> nn.Module:
    """The paper's FCN-score: how well a segmentation network finds in the fakes the labels that they were made of.

    Args:
        images: What the run's images are.
        network: What recognises the classes; recipe `fcn` trains one.
        architecture: For a file of weights, torchvision's network that they are of.

    Returns:
        The metric, of three values: `pixel_accuracy`, `class_accuracy` and `class_iou`; higher is better.

    Raises:
        ComponentError: The sources are not labels, or the network can't be loaded or does not fit them.

    Source: Isola et al. 2017, arXiv:1611.07004, section 3.4; Long et al. 2015, arXiv:1411.4038, section 5.
    """
    from p2pkit.builtin.class_scores import NetworkScores

    if images.source.kind != "labels":
        remedy = "use a data set whose sources are label maps, as dataset labels"
        raise ComponentError("fcn_score is for sources that are labels, and these are not", remedy=remedy)
    return NetworkScores(images.source, load_network(images, network, architecture))


def check_windows(images: PairSpec, name: str = "ssim", scales: int = 1) -> None:
    """Refuse images that are smaller than a window of SSIM, at the smallest scale.

    Args:
        images: What the run's images are.
        name: The metric, as the message calls it.
        scales: Number of scales, each half the one before.
    """
    least = WINDOW * 2 ** (scales - 1)
    if min(images.size) < least:
        size = " x ".join(map(str, images.size))
        at = f" at {scales} scales, so sides of {least}" if scales > 1 else ""
        raise ComponentError(
            f"{name} compares windows of {WINDOW} x {WINDOW} pixels{at}, the images are {size}",
            remedy=f"leave {name} out, or use larger images",
        )


@p2pkit.hookimpl
def p2pkit_metrics() -> Iterator[p2pkit.Metric]:
    """Offer the built-in metrics."""
    yield p2pkit.Metric("l1", l1)
    yield p2pkit.Metric("psnr", psnr)
    yield p2pkit.Metric("ssim", ssim)
    yield p2pkit.Metric("ms_ssim", ms_ssim)
    yield p2pkit.Metric("lpips", feature_metrics.lpips)
    yield p2pkit.Metric("diversity", feature_metrics.diversity)
    yield p2pkit.Metric("fid", feature_metrics.fid)
    yield p2pkit.Metric("kid", feature_metrics.kid)
    yield p2pkit.Metric("frechet_distance", feature_metrics.frechet_distance)
    yield p2pkit.Metric("kernel_distance", feature_metrics.kernel_distance)
    yield p2pkit.Metric("segmentation", segmentation)
    yield p2pkit.Metric("fcn_score", fcn_score)
