"""Torchmetrics' classes on features of trained networks; imported only where a metric is built."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from p2pkit import ComponentError, Weights, classifier_features, fingerprint, first_line, read_weights
from p2pkit.layers import Standardise
from p2pkit.untyped import Json, Untyped

INCEPTION = Weights(
    "Inception v3 for FID",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "6726825d",
    ("pt_inception-2015-12-05-6726825d.pth",),
)
CLASSIFIERS = ("alexnet", "vgg16", "vgg19")
ENOUGH = 5
"""Images for each feature that a Frechet distance wants: about the 10 000 that FID's authors ask for."""


class _Mean(Metric):  # type: ignore[misc]  # mypy does not follow torchmetrics
    """The mean of a network's distances of two images.

    Args:
        distance: Gives the distance of two batches, image by image.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, distance: nn.Module) -> None:
        super().__init__()
        self.distance = distance
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def protocol(self) -> dict[str, Json]:
        """Which weights the distance has, if any."""
        return {"weights": fingerprint(self.distance)} if self.distance.state_dict() else {}

    def add(self, one: Tensor, other: Tensor) -> None:
        """Count distances in."""
        self.total += self.distance(colour(one), colour(other)).double().sum()
        self.count += len(one)

    def compute(self) -> Tensor:
        """Return the mean."""
        return self.total / self.count


class MeanDistance(_Mean):
    """The mean distance of fake and target."""

    higher_is_better = False

    def update(self, fake: Tensor, target: Tensor) -> None:
        """Count a batch in."""
        self.add(fake, target)


class Diversity(_Mean):
    """The mean distance of two fakes of one source.

    Args:
        distance: Gives the distance of two batches, image by image.
        fakes: Fakes of each source.
    """

    higher_is_better = True
    wants = ("fakes",)

    def __init__(self, distance: nn.Module, fakes: int) -> None:
        super().__init__(distance)
        self.fakes = fakes

    def update(self, fakes: Tensor) -> None:
        """Count a batch in, (B, N, C, H, W)."""
        for one, other in combinations(fakes.unbind(1), 2):
            self.add(one, other)


class AbsoluteDistance(nn.Module):
    """The mean absolute difference, image by image."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Compare two batches."""
        return (one - other).abs().flatten(1).mean(1)


class FrechetDistance(FrechetInceptionDistance):  # type: ignore[misc]  # as above
    """Frechet distance of all fakes and all targets.

    Args:
        extractor: Gives features of images in [-1, 1]; `num_features` says how many.
    """

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__(feature=extractor)

    @property
    def protocol(self) -> dict[str, Json]:
        """Which weights the features come from."""
        return {"weights": fingerprint(self.inception)}

    def update(self, fake: Tensor, target: Tensor) -> None:
        """Count a batch in."""
        super().update(colour(fake), real=False)
        super().update(colour(target), real=True)

    def compute(self) -> Tensor:
        """Return the distance; not a number where a single image has no spread."""
        if self.real_features_num_samples < 2:
            return torch.tensor(torch.nan)
        distance: Tensor = super().compute()
        return distance

    def warnings(self) -> Iterator[str]:
        """Tell of too few images."""
        count, features = int(self.real_features_num_samples), self.inception.num_features
        if count < ENOUGH * features:
            yield (
                f"{count} images are few for {features} features, and fewer give larger values: compare it only where "
                f"the count is the same, and trust it from about {ENOUGH * features} on; a kernel distance is unbiased"
            )


class KernelDistance(KernelInceptionDistance):  # type: ignore[misc]  # as above
    """Kernel distance of all fakes and all targets, always over the same subsets."""

    subsets: int
    subset_size: int

    @property
    def protocol(self) -> dict[str, Json]:
        """Which weights the features come from."""
        return {"weights": fingerprint(self.inception)}

    @property
    def images(self) -> int:
        """How many targets have been seen."""
        return sum(len(features) for features in self.real_features)

    def update(self, fake: Tensor, target: Tensor) -> None:
        """Count a batch in."""
        super().update(colour(fake), real=False)
        super().update(colour(target), real=True)

    def compute(self) -> Tensor:
        """Return the mean over subsets; over all images once where they don't fill a subset."""
        asked = self.subset_size, self.subsets
        if self.images < 2:
            return torch.tensor(torch.nan)
        if self.images <= self.subset_size:
            self.subset_size, self.subsets = self.images, 1
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                mean: Tensor = super().compute()[0]
            return mean
        finally:
            self.subset_size, self.subsets = asked

    def warnings(self) -> Iterator[str]:
        """Tell of too few images."""
        if self.images < self.subset_size:
            yield f"{self.images} images don't fill a subset of {self.subset_size}: small differences mean nothing"


def kernel_distance_of(extractor: nn.Module, subsets: int, subset_size: int) -> KernelDistance:
    """Make a kernel distance without torchmetrics' note that it keeps all features.

    Args:
        extractor: What makes features of images.
        subsets: How many subsets are drawn.
        subset_size: Images of each subset.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance`", UserWarning)
        return KernelDistance(feature=extractor, subsets=subsets, subset_size=subset_size)


class Pooled(nn.Module):
    """The last features of a classifier's convolutional part, averaged over positions.

    Args:
        features: The convolutional part.

    Shape: (B, 3, H, W) in [-1, 1] -> (B, C).
    """

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features.requires_grad_(False).eval()
        self.num_features = next(len(w) for w in reversed(list(features.parameters())))
        self.standardise = Standardise()

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        seen: Tensor = self.features(self.standardise(images))
        return seen.mean((2, 3))


class Fidelity(nn.Module):
    """A feature extractor of torch-fidelity's, which wants 8-bit images.

    Args:
        extractor: The extractor, asked for one layer.
        num_features: How many features it gives.

    Shape: (B, 3, H, W) in [-1, 1] -> (B, C).
    """

    def __init__(self, extractor: nn.Module, num_features: int | None = None) -> None:
        super().__init__()
        self.extractor = extractor.requires_grad_(False).eval()
        with torch.no_grad():
            self.num_features = num_features or self(torch.zeros(1, 3, 64, 64)).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        stored = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        seen: Tensor = self.extractor(stored)[0]
        return seen.flatten(1).float()


def inception(weights: Path | None) -> Fidelity:
    """Return the last features of Inception v3 as FID's authors have them.

    Args:
        weights: File of torch-fidelity's weights; by default it is looked for.

    Raises:
        ComponentError: torch-fidelity is missing, or the weights can't be had.
    """
    make = _registered()["inception-v3-compat"]
    file = INCEPTION.locate(weights)
    ours = io.BytesIO()  # torch-fidelity's reader runs what a file holds, so it is shown what ours has read
    torch.save(read_weights(file), ours)
    ours.seek(0)
    try:
        extractor = make("fid", ["2048"], feature_extractor_weights_path=ours)
    except (RuntimeError, AttributeError) as error:
        cause = f"{file} does not hold these weights: {first_line(error)}"
        raise ComponentError(cause, remedy=f"give {INCEPTION.file} of torch-fidelity", parameter="weights") from error
    return Fidelity(extractor, 2048)


def extractor(features: str, weights: Path | None) -> nn.Module:
    """Return an extractor by name: a classifier of torchvision's, or what a plugin has registered with torch-fidelity.

    Those that torch-fidelity brings itself download weights, and code with them, as soon as they are made.

    Args:
        features: A classifier's name, or one that torch-fidelity knows.
        weights: File of its weights; by default it is looked for.

    Raises:
        ComponentError: There is none of that name, or its weights can't be had.
    """
    if features in CLASSIFIERS:
        return Pooled(classifier_features(features, weights))
    known = {name: make for name, make in _registered().items() if not make.__module__.startswith("torch_fidelity.")}
    if features not in known:
        remedy = f"choose one of {', '.join((*CLASSIFIERS, *known))}; those of Inception are metric fid"
        raise ComponentError(f"there are no features {features!r}", remedy=remedy, parameter="features")
    make = known[features]
    try:
        return Fidelity(make(features, [make.get_default_feature_layer_for_metric("fid")]))
    except Exception as error:  # each has its own way of not getting its weights
        cause = f"{features} can't be had: {first_line(error)}"
        raise ComponentError(cause, remedy="see torch-fidelity's documentation of it", parameter="features") from error


def _registered() -> dict[str, Untyped]:
    try:
        from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
    except ImportError as error:
        remedy = "pip install 'p2pkit[fid]'"
        raise ComponentError("these features need torch-fidelity, which is not installed", remedy=remedy) from error
    registered: dict[str, Untyped] = FEATURE_EXTRACTORS_REGISTRY
    return registered


def colour(images: Tensor) -> Tensor:
    """Show grey images as colour ones."""
    return images.float().expand(-1, 3, -1, -1) if images.shape[1] == 1 else images.float()
