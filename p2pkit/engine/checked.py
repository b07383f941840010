"""A plan whose parts are known to be there."""

from __future__ import annotations

from dataclasses import dataclass

from p2pkit.config import Part, Plan
from p2pkit.types import PairDataset, PairSpec


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
        """What the run's images are."""
        return self.dataset.spec
