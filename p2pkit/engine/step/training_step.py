"""The training step: who moves when, and nothing else.

Device scalars go out; the host is never waited for, and no branch depends on a tensor's value.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.profiler import record_function

from p2pkit.engine.step.forward import Fakes, ForwardPasses, PairTensors
from p2pkit.engine.step.objective import Objective, PlayerName
from p2pkit.engine.step.players import Players, frozen, update
from p2pkit.engine.step.scalars import Measured, Scalars, means, verdict_scalars
from p2pkit.engine.step.turns import Turns


class TrainingStep:
    """One update of each player.

    The generator's fake is made once and serves both updates; with several batches to accumulate it is made again
    in the generator's update, so that only one batch's history is in memory.

    Args:
        players: The networks and optimisers.
        objective: What they minimise.
        forward: How the networks are asked, and in which arithmetic.
        turns: Who moves when.
        clip: Largest norm of each network's gradient.

    Source: Isola et al. 2017, arXiv:1611.07004, section 3.3.
    """

    def __init__(
        self, players: Players, objective: Objective, forward: ForwardPasses, turns: Turns, clip: float | None
    ) -> None:
        self.players, self.objective, self.forward, self.turns, self.clip = players, objective, forward, turns, clip

    def __call__(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Update both players with one batch, or with several, for several updates or whose gradients are added up.

        Shape: each is (source, target, extras), images (B, C, H, W) in [-1, 1]. `number` counts from 0, for lazy terms.
        """
        self.forward.clock.set(number)
        return self.take(batches, number)

    def take(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Update both players, the clock being set, which a captured step can't do."""
        self.forward.clock.count()
        groups, shared = self.turns.groups(batches), self.turns.shared
        fakes: list[Fakes] = [[None] * len(group) for group in groups]
        if len(groups[shared]) == 1:
            fakes[shared] = [self.forward.fakes(groups[shared][0])]
        measured: dict[PlayerName, list[Sequence[Measured]]] = {}
        for player, place in self.turns.due(number):
            update_of = self._generator_update if player == "generator" else self._discriminator_update
            measured.setdefault(player, []).append(update_of(groups[place], fakes[place], number))
        for learned in self.players.losses:  # from both turns together
            update(learned, self.forward.precision, self.clip)
        self.forward.precision.update()
        if self.players.average is not None:
            self.players.average.update(self.players.generator.network)
        return Scalars.mean(list(map(means, measured.values())), self.objective.weighted)

    def _discriminator_update(self, batches: Sequence[PairTensors], fakes: Fakes, number: int) -> list[Measured]:
        """D judges (source, target) and (source, fake), and moves towards telling them apart; G stays as it is."""
        player, measured = self.players.discriminator, list[Measured]()
        if player is None:
            return [{} for _ in batches]
        with record_function("discriminator_update"):
            for batch, made, exchanging in zip(batches, fakes, player.turn(len(batches)), strict=True):
                with exchanging:
                    fake = self.forward.fakes(batch, history=False) if made is None else made.detach()
                    view = self.forward.view_of(player, batch, fake)
                    total, values = self.objective.total("discriminator", view, number)
                    self._backward(total, 1 / len(batches))
                measured.append(values | verdict_scalars(view, self.objective.threshold))
            update(player, self.forward.precision, self.clip)
        return measured

    def _generator_update(self, batches: Sequence[PairTensors], fakes: Fakes, number: int) -> list[Measured]:
        """D judges (source, fake) with its weights frozen, and G moves towards what all its terms ask for."""
        player, measured = self.players.generator, list[Measured]()
        with record_function("generator_update"), frozen(self.players.discriminator):
            for batch, made, exchanging in zip(batches, fakes, player.turn(len(batches)), strict=True):
                with exchanging:
                    fake = self.forward.fakes(batch) if made is None else made
                    total, values = self.objective.total("generator", self.forward.view(batch, fake), number)
                    self._backward(total, 1 / len(batches))
                measured.append(values)
            update(player, self.forward.precision, self.clip)
        return measured

    def _backward(self, total: Tensor, share: float) -> None:
        if total.requires_grad:  # no term of this player may be due
            torch.autograd.backward(self.forward.precision.scale(total), torch.full_like(total, share))
