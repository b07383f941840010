"""What each player minimises: the weighted sum of the terms that have a say in its turn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Literal

import torch
from torch import Tensor, nn

from p2pkit.config import LossPart
from p2pkit.engine.step.scalars import Measured
from p2pkit.types import DiscriminatorLoss, GeneratorLoss, View, optional

PlayerName = Literal["generator", "discriminator"]
Encode = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Term:
    """One weighted loss of a run.

    Args:
        name: Its name in the config and in MLflow.
        part: Its part of the phase, which has its weight, and how often it is applied.
        loss: The loss; having a method `generator` or `discriminator` is having a say in that player's turn.
    """

    name: str
    part: LossPart
    loss: GeneratorLoss | DiscriminatorLoss

    def judges(self, player: PlayerName) -> bool:
        """Whether the term has a say in a player's turn; one that the phase leaves out has none."""
        return self.part.weight > 0 and optional.TURNS[player](self.loss) is not None

    def value(self, player: PlayerName, view: View) -> Tensor:
        """Return what the loss comes to in a player's turn, without its weight."""
        return optional.turn(self.loss, player)(view)

    def due(self, player: PlayerName, step: int) -> bool:
        """Whether the term takes part in a player's turn at a step."""
        return self.judges(player) and step % self.part.every == 0


class Objective:
    """All terms of a run.

    Args:
        terms: The terms.
        discriminator_factor: Factor of the discriminator's total.
    """

    def __init__(self, terms: Sequence[Term], discriminator_factor: float = 1.0) -> None:
        self.terms = tuple(terms)
        self.factors: dict[PlayerName, float] = {"generator": 1.0, "discriminator": discriminator_factor}
        self._made = {name: _versions(loss) for name, loss in self.modules.items()}

    def weighing(self, parts: Mapping[str, LossPart]) -> Objective:
        """Return the same terms with other weights, by name."""
        other = copy.copy(self)
        other.terms = tuple(replace(term, part=parts[term.name]) for term in self.terms)
        return other

    @property
    def periods(self) -> list[int]:
        """Of each term that has a say, every how many steps it is due."""
        return [term.part.every for term in self.terms if term.part.weight > 0]

    @property
    def modules(self) -> dict[str, nn.Module]:
        """By name, `losses.TERM`, the losses that are modules: what they hold is saved and comes back."""
        return {f"losses.{term.name}": term.loss for term in self.terms if isinstance(term.loss, nn.Module)}

    def states(self) -> dict[str, dict[str, Tensor]]:
        """Return by name what each of these holds that is no longer as it was made, or may learn.

        A network that only judges, VGG for instance, is as large as it is constant.
        """
        found = {}
        for name, loss in self.modules.items():
            now, learning = _versions(loss), {key for key, value in loss.named_parameters() if value.requires_grad}
            held = loss.state_dict()
            found[name] = {key: held[key] for key in held if key in learning or now[key] != self._made[name].get(key)}
        return found

    @property
    def adversarial(self) -> bool:
        """Whether any term trains a discriminator; without one none is built."""
        return any(term.judges("discriminator") for term in self.terms)

    @property
    def encoders(self) -> dict[str, Encode]:
        """By name of the term the losses that make extras of training pairs."""
        known = {term.name: optional.encode(term.loss) for term in self.terms if term.part.weight > 0}
        return {name: encode for name, encode in known.items() if encode is not None}

    def encoded(self, source: Tensor, target: Tensor, extras: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the extras that losses make of a batch, by name, with the history by which their networks learn.

        Args:
            source: The sources.
            target: The targets.
            extras: What stands beside them, drawn or given by the data.

        Shape: images (B, C, H, W) in [-1, 1].
        """
        made: dict[str, Tensor] = {}
        for encode in self.encoders.values():
            made |= encode(source, target, extras)
        return made

    @property
    def threshold(self) -> float | None:
        """The logit above which the discriminator takes a pair for real, where a term of the run knows one."""
        known = (optional.threshold(term.loss) for term in self.terms)
        return next((threshold for threshold in known if threshold is not None), None)

    @property
    def weighted(self) -> dict[str, float]:
        """The weight of each term's scalar: that of its loss, times its player's factor."""
        return {
            f"train/{player}/{term.name}": term.part.weight * factor
            for player, factor in self.factors.items()
            for term in self.terms
            if term.judges(player)
        }

    def total(self, player: PlayerName, view: View, step: int) -> tuple[Tensor, Measured]:
        """Compute what a player minimises on one batch.

        A term that comes every so many steps is that much stronger when it does.

        Args:
            player: Whose turn it is.
            view: The batch.
            step: Number of the step, from 0.

        Returns:
            The total, and what was measured: each due term's raw value, and the total.
        """
        parts, measured = list[Tensor](), Measured()
        for term in self.terms:
            if term.due(player, step):
                value = term.value(player, view).float()
                parts.append(value * (term.part.weight * term.part.every * self.factors[player]))
                measured[f"train/{player}/{term.name}"] = value.detach()
                measured |= {f"train/{term.name}/{name}": number for name, number in view.taken().items()}
        total = reduce(add, parts) if parts else torch.zeros((), device=view.source.device)
        measured[f"train/{player}/total"] = total.detach()
        return total, measured


def _versions(loss: nn.Module) -> dict[str, tuple[int, int]]:
    """Return for each tensor of a loss how often it has been written to, and where it lies."""
    return {key: (value._version, value.data_ptr()) for key, value in loss.state_dict().items()}
