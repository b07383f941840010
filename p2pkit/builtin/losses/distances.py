"""Losses of the generator alone: how far a fake is from the target, and how rough it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from p2pkit import ComponentError, PairSpec, View
from p2pkit.builtin.metrics import check_windows


@dataclass(frozen=True)
class Distance:
    """A distance between fake and target.

    Args:
        between: The distance of two batches as a scalar.

    Shape: images (B, C, H, W) in [-1, 1] -> scalar.
    """

    between: Callable[[Tensor, Tensor], Tensor]

    def generator(self, view: View) -> Tensor:
        """The distance of fake and target."""
        return self.between(view.fake.float(), view.target.float())


def l1() -> Distance:
    """Mean absolute difference of fake and target.

    Source: Isola et al. 2017, arXiv:1611.07004, equation 3.
    """
    return Distance(functional.l1_loss)


def l2() -> Distance:
    """Mean squared difference of fake and target.

    Source: Isola et al. 2017, arXiv:1611.07004, section 3.1, where it is what earlier work has in the place of l1.
    """
    return Distance(functional.mse_loss)


def charbonnier(
    *,
    epsilon: Annotated[float, Field(gt=0, le=1, description="Difference under which it is quadratic.")] = 1e-3,
) -> Distance:
    """Smooth mean absolute difference: the mean of sqrt(difference^2 + epsilon^2).

    Args:
        epsilon: Difference under which it is quadratic.

    Returns:
        The loss; epsilon, and not 0, for equal images.

    Source: Lai et al. 2017, arXiv:1704.03915, equation 2.
    """
    return Distance(lambda fake, target: ((fake - target).square() + epsilon**2).sqrt().mean())


def ssim(images: PairSpec) -> Distance:
    """One minus the structural similarity (SSIM) of fake and target, by torchmetrics.

    It is one minus what the metric `ssim` measures: images brought to [0, 1], Gaussian windows of 11 x 11 pixels.

    Args:
        images: What the run's images are.

    Returns:
        The loss, 0 for equal images.

    Raises:
        ComponentError: The images are smaller than a window.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, equation 13.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    check_windows(images)

    def between(fake: Tensor, target: Tensor) -> Tensor:
        similarity: Tensor = structural_similarity_index_measure((fake + 1) / 2, (target + 1) / 2, data_range=1.0)
        return 1 - similarity

    return Distance(between)


class FeatureMatching:
    """Mean absolute difference of the discriminator's features of fake and target.

    Each layer of each scale counts alike, whatever its size.

    Source: Wang et al. 2018, arXiv:1711.11585, equation 3.
    """

    def generator(self, view: View) -> Tensor:
        """The distance of the features; the target's are taken as they are."""
        fake, target = (
            [layer for scale in verdict.features for layer in scale] for verdict in (view.on_fake, view.on_target)
        )
        if not fake:
            raise ComponentError(
                "the discriminator's verdicts have no features to match",
                remedy="use a discriminator that gives features, or leave feature_matching out",
            )
        distances = [functional.l1_loss(f.float(), t.detach().float()) for f, t in zip(fake, target, strict=True)]
        return torch.stack(distances).mean()


class TotalVariation:
    """Roughness of the fake: mean absolute difference of neighbours in rows plus that in columns, of volumes in slices.

    Source: Johnson et al. 2016, arXiv:1603.08155, section 3.2.
    """

    def generator(self, view: View) -> Tensor:
        """The fake's roughness."""
        fake = view.fake.float()
        return torch.stack([fake.diff(dim=side).abs().mean() for side in range(2, fake.ndim)]).sum()
