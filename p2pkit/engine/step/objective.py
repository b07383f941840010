"""What each player minimises: the weighted sum of the terms that have a say in its turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from p2pkit.types import View

PlayerName = Literal["generator", "discriminator"]
Scalars = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Term:
    """One weighted loss of a run.

    Args:
        name: Its name in the config and in MLflow.
        loss: The loss; having a method `generator` or `discriminator` is having a say in that player's turn.
        weight: Its factor.
        every: It is applied every so many steps, and that much stronger.
    """

    name: str
    loss: Any
    weight: float
    every: int = 1

    def judges(self, player: PlayerName) -> bool:
        """Whether the term has a say in a player's turn."""
        return hasattr(self.loss, player)

    def due(self, player: PlayerName, step: int) -> bool:
        """Whether the term takes part in a player's turn at a step."""
        return self.judges(player) and step % self.every == 0


class Objective:
    """All terms of a run.

    Args:
        terms: The terms.
        discriminator_factor: Factor of the discriminator's total.
    """

    def __init__(self, terms: Sequence[Term], discriminator_factor: float = 1.0) -> None:
        self.terms = tuple(terms)
        self._factors = {"generator": 1.0, "discriminator": discriminator_factor}

    @property
    def adversarial(self) -> bool:
        """Whether any term trains a discriminator; without one none is built."""
        return any(term.judges("discriminator") for term in self.terms)

    @property
    def threshold(self) -> float | None:
        """The logit above which the discriminator takes a pair for real, where a term of the run knows one."""
        known = (getattr(term.loss, "threshold", None) for term in self.terms)
        return next((threshold for threshold in known if threshold is not None), None)

    def total(self, player: PlayerName, view: View, step: int) -> tuple[Tensor, Scalars]:
        """Compute what a player minimises on one batch.

        Args:
            player: Whose turn it is.
            view: The batch.
            step: Number of the step, from 0.

        Returns:
            The total, and detached scalars on the device: each term raw and weighted, and the total.
        """
        scalars: Scalars = {}
        total = torch.zeros((), device=view.source.device)
        for term, value in self._values(player, view, step):
            weighted = value * (term.weight * term.every * self._factors[player])
            total = total + weighted
            scalars[f"train/{player}/{term.name}"] = value.detach()
            scalars[f"train/{player}/{term.name}_weighted"] = (weighted / term.every).detach()
        scalars[f"train/{player}/total"] = total.detach()
        return total, scalars

    def _values(self, player: PlayerName, view: View, step: int) -> Iterator[tuple[Term, Tensor]]:
        for term in self.terms:
            if term.due(player, step):
                yield term, getattr(term.loss, player)(view).float()
