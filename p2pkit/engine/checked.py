"""A plan whose parts are known to be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from p2pkit.config import Part, Plan
from p2pkit.types import PairDataset, PairSpec, VectorSpec


@dataclass(frozen=True)
class ValidatedRun:
    """A plan whose data, shapes and environment are in order.

    Args:
        plan: The plan.
        dataset: The data, opened but not read.
        split: The part of it that evaluations use.
        data: What opens the data.
        generator: What makes the generator.
        discriminator: What makes the discriminator; None where no term trains one.
    """

    plan: Plan
    dataset: PairDataset
    split: str
    data: Part
    generator: Part
    discriminator: Part | None

    @property
    def spec(self) -> PairSpec:
        """What the run's images are, and what is drawn beside them."""
        return with_noise(self.dataset.spec, self.plan.config.noise)


def with_noise(images: PairSpec, noise: Mapping[str, int]) -> PairSpec:
    """Return what a data set's images are with vectors of noise beside them.

    Args:
        images: What they are.
        noise: By name how many numbers are drawn for each pair.
    """
    if not noise:
        return images
    drawn = {name: VectorSpec(size, "noise") for name, size in noise.items()}
    return replace(images, extras={**images.extras, **drawn})
