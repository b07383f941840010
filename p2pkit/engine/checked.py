"""A plan whose parts are known to be there."""

from __future__ import annotations

from dataclasses import dataclass

from p2pkit.config import Plan
from p2pkit.types import PairDataset, PairSpec


@dataclass(frozen=True)
class ValidatedRun:
    """A plan whose data, shapes and environment are in order.

    Args:
        plan: The plan.
        dataset: The data, opened but not read.
        split: The part of it that evaluations use.
        adversarial: Whether any term trains a discriminator.
    """

    plan: Plan
    dataset: PairDataset
    split: str
    adversarial: bool

    @property
    def spec(self) -> PairSpec:
        """What the run's images are."""
        return self.dataset.spec
