"""Penalties on the discriminator's gradient with respect to the images it judges."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from p2pkit import View


class R1:
    """Half the squared gradient of the discriminator's judgement of real pairs.

    The judgement of a pair is the mean of its logits over maps and scales. Its usual gamma is the term's weight.

    Source: Mescheder et al. 2018, arXiv:1801.04406, equation 9.
    """

    def discriminator(self, view: View) -> Tensor:
        """The penalty at the real pairs."""
        return _gradient(view, view.target).square().sum(1).mean() / 2


class GradientPenalty:
    """Squared difference of the discriminator's slope from a wanted one (WGAN-GP).

    The slope is the norm of the gradient at a random point between target and fake, one for each pair. The
    judgement of a pair is the mean of its logits over maps and scales.

    Args:
        slope: The norm that the gradient should have.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3.
    """

    def __init__(
        self, *, slope: Annotated[float, Field(ge=0, le=100, description="Norm that the gradient should have.")] = 1.0
    ) -> None:
        self.slope = slope

    def discriminator(self, view: View) -> Tensor:
        """The penalty at random points between target and fake."""
        share = torch.rand(len(view.target), *[1] * (view.target.ndim - 1), device=view.target.device)
        between = torch.lerp(view.target.float(), view.fake.float(), share)
        norms: Tensor = torch.linalg.vector_norm(_gradient(view, between), dim=1)
        return (norms - self.slope).square().mean()


def _gradient(view: View, images: Tensor) -> Tensor:
    """Return each judgement's gradient with respect to its image, itself differentiable.

    Shape: (B, C, H, W) -> (B, C * H * W).
    """
    images = images.detach().requires_grad_()
    maps = [logits.float().flatten(1).mean(1) for logits in view.discriminate(view.source, images).logits]
    (gradient,) = torch.autograd.grad(torch.stack(maps).mean(0).sum(), images, create_graph=True)
    return gradient.float().flatten(1)
