"""Metrics that compare what a trained network sees in images: LPIPS, diversity, Frechet and kernel distances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from p2pkit import ComponentError, PairSpec, WeightsFile

LEAST = {"alexnet": 31, "vgg16": 16}
"""Smallest sides that leave something to compare at the deepest layer of LPIPS."""
WHOLE = {"alexnet": 63, "vgg16": 32, "vgg19": 32}
"""Smallest sides that leave something after the last pooling."""

Network = Annotated[Literal["alexnet", "vgg16"], Field(description="Which network's features.")]
Features = Annotated[
    str,
    Field(description="Whose features: alexnet, vgg16, vgg19, or what a plugin has registered with torch-fidelity."),
]
FeatureWeights = Annotated[
    Path | None, Field(description="File with the weights of alexnet, vgg16 or vgg19; by default it is looked for.")
]
Subsets = Annotated[int, Field(ge=1, description="Random subsets that the mean is taken over.")]
SubsetSize = Annotated[int, Field(ge=2, description="Images of a subset; all of them where there are fewer.")]


def lpips(images: PairSpec, *, network: Network = "alexnet", weights: WeightsFile = None) -> nn.Module:
    """Learned perceptual image patch similarity (LPIPS, version 0.1), mean over images; 0 for equal ones.

    AlexNet's is the one that is usually reported. Grey images are shown to the network as colour ones.

    Args:
        images: What the run's images are.
        network: Which network's features.
        weights: File with torchvision's weights of the network.

    Returns:
        The metric; lower is better.

    Raises:
        ComponentError: The images don't suit the network, or its weights can't be had.

    Source: Zhang et al. 2018, arXiv:1801.03924, equation 1.
    """
    from p2pkit import lpips_network
    from p2pkit.builtin.feature_scores import MeanDistance

    _check_pictures("lpips", images, LEAST[network])
    return MeanDistance(lpips_network(network, weights))


def diversity(
    images: PairSpec,
    *,
    fakes: Annotated[int, Field(ge=2, le=16, description="Fakes of each source.")] = 4,
    distance: Annotated[
        Literal["lpips", "l1"], Field(description="Of two fakes: LPIPS with AlexNet, or the mean absolute difference.")
    ] = "lpips",
    weights: WeightsFile = None,
) -> nn.Module:
    """How much fakes of one source differ when their noise does: the mean distance of two of them.

    The noise is the run's, which is drawn anew for each fake, and dropout's, which is on whatever `evaluate.dropout`
    says. A generator without either, or one that has learnt to ignore its noise, has 0. Large is not good by itself:
    noise is diverse too.

    Args:
        images: What the run's images are.
        fakes: Fakes of each source; all pairs of them are compared.
        distance: How two fakes are compared.
        weights: File with torchvision's weights of AlexNet, for LPIPS.

    Returns:
        The metric; higher is better.

    Raises:
        ComponentError: LPIPS is asked for and the images don't suit it, or its weights can't be had.

    Source: Zhu et al. 2017, arXiv:1711.11586, section 4 (LPIPS of pairs of results); mean L1 is p2pkit's own.
    """
    from p2pkit import lpips_network
    from p2pkit.builtin.feature_scores import AbsoluteDistance, Diversity

    if distance == "l1":
        return Diversity(AbsoluteDistance(), fakes)
    _check_pictures("diversity by lpips", images, LEAST["alexnet"])
    return Diversity(lpips_network("alexnet", weights), fakes)


def fid(images: PairSpec, *, weights: WeightsFile = None) -> nn.Module:
    """Frechet inception distance (FID) of all fakes and all targets; 0 for equal sets.

    By torchmetrics, on the features of torch-fidelity's Inception v3, which are those of the original. Images are
    resized to 299 x 299 by that network, as the original does. Few images make it too large; the report warns.

    Args:
        images: What the run's images are.
        weights: File with the weights of Inception v3 as torch-fidelity has them.

    Returns:
        The metric; lower is better.

    Raises:
        ComponentError: torch-fidelity is missing, the images are no pictures, or the weights can't be had.

    Source: Heusel et al. 2017, arXiv:1706.08500, equation 6.
    """
    from p2pkit.builtin.feature_scores import FrechetDistance, inception

    _check_pictures("fid", images)
    return FrechetDistance(inception(weights))


def kid(
    images: PairSpec, *, subsets: Subsets = 100, subset_size: SubsetSize = 1000, weights: WeightsFile = None
) -> nn.Module:
    """Kernel inception distance (KID) of all fakes and all targets: unbiased, so fit for fewer images than FID.

    By torchmetrics, on the same features as `fid`. May be slightly negative for sets that are alike.

    Args:
        images: What the run's images are.
        subsets: Random subsets that the mean is taken over.
        subset_size: Images of a subset.
        weights: File with the weights of Inception v3 as torch-fidelity has them.

    Returns:
        The metric; lower is better.

    Raises:
        ComponentError: torch-fidelity is missing, the images are no pictures, or the weights can't be had.

    Source: Binkowski et al. 2018, arXiv:1801.01401, section 4.
    """
    from p2pkit.builtin.feature_scores import inception, kernel_distance_of

    _check_pictures("kid", images)
    return kernel_distance_of(inception(weights), subsets, subset_size)


def frechet_distance(images: PairSpec, *, features: Features, weights: FeatureWeights = None) -> nn.Module:
    """Frechet distance of all fakes and all targets by the features of a network of your choice.

    FID's arithmetic on other features: its values can't be compared with FID's, nor with those of other features.

    Args:
        images: What the run's images are.
        features: Whose features: the last ones of torchvision's networks, averaged over positions.
        weights: File with torchvision's weights of the network.

    Returns:
        The metric; lower is better.

    Raises:
        ComponentError: There are no such features, the images don't suit them, or the weights can't be had.

    Source: Heusel et al. 2017, arXiv:1706.08500, equation 6, with other features.
    """
    from p2pkit.builtin.feature_scores import FrechetDistance, extractor

    _check_pictures("frechet_distance", images, WHOLE.get(features, 1))
    return FrechetDistance(extractor(features, weights))


def kernel_distance(
    images: PairSpec,
    *,
    features: Features,
    subsets: Subsets = 100,
    subset_size: SubsetSize = 1000,
    weights: FeatureWeights = None,
) -> nn.Module:
    """Kernel distance of all fakes and all targets by the features of a network of your choice.

    KID's arithmetic on other features: its values can't be compared with KID's, nor with those of other features.

    Args:
        images: What the run's images are.
        features: Whose features: the last ones of torchvision's networks, averaged over positions.
        subsets: Random subsets that the mean is taken over.
        subset_size: Images of a subset.
        weights: File with torchvision's weights of the network.

    Returns:
        The metric; lower is better.

    Raises:
        ComponentError: There are no such features, the images don't suit them, or the weights can't be had.

    Source: Binkowski et al. 2018, arXiv:1801.01401, section 4, with other features.
    """
    from p2pkit.builtin.feature_scores import extractor, kernel_distance_of

    _check_pictures("kernel_distance", images, WHOLE.get(features, 1))
    return kernel_distance_of(extractor(features, weights), subsets, subset_size)


def _check_pictures(name: str, images: PairSpec, least: int = 1) -> None:
    """Refuse targets that a network of colour photos can't be shown."""
    target = images.target
    if target.kind == "labels" or target.channels not in (1, 3):
        has = f"labels of {target.channels} classes" if target.kind == "labels" else f"{target.channels} channels"
        raise ComponentError(
            f"{name} compares pictures of 1 or 3 channels, the target has {has}", remedy="leave it out"
        )
    if min(images.height, images.width) < least:
        cause = f"{name} needs sides of at least {least}, the images are {images.height} x {images.width}"
        raise ComponentError(cause, remedy="use larger images, or leave it out")
