"""The training step: who moves when, and nothing else.

Device scalars go out; the host is never waited for, and no branch depends on a tensor's value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.profiler import record_function

from p2pkit.config.phases import UpdatesConfig
from p2pkit.engine.step.forward import ForwardPasses
from p2pkit.engine.step.objective import Objective
from p2pkit.engine.step.players import Players, frozen, update
from p2pkit.engine.step.scalars import Measured, Scalars, means, verdict_scalars

PairTensors = tuple[Tensor, Tensor]
Fakes = Sequence[Tensor | None]
Update = Callable[[Sequence[PairTensors], int], Scalars]


class TrainingStep:
    """One update of each player.

    The generator's fake is made once and serves both updates; with several batches to accumulate it is made again
    in the generator's update, so that only one batch's history is in memory.

    Args:
        players: The networks and optimisers.
        objective: What they minimise.
        forward: How the networks are asked, and in which arithmetic.
        generator_first: Whether the generator moves before the discriminator.
        clip: Largest norm of each network's gradient.
        pace: How often the discriminator moves, for each update of the generator.

    Source: Isola et al. 2017, arXiv:1611.07004, section 3.3.
    """

    def __init__(
        self,
        players: Players,
        objective: Objective,
        forward: ForwardPasses,
        generator_first: bool,
        clip: float | None,
        pace: UpdatesConfig | None = None,
    ) -> None:
        self.players, self.objective, self.forward = players, objective, forward
        self.generator_first, self.clip, self.pace = generator_first, clip, pace or UpdatesConfig()

    @property
    def periods(self) -> list[int]:
        """Of all that is not done in each step, every how many steps it is."""
        return [*self.objective.periods, self.pace.generator]

    def __call__(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Update both players with one batch, or with several whose gradients are added up.

        With several updates of the discriminator each has as many; the generator's are those of the last one, or the
        first where it moves first.

        Shape: each batch is (source, target), (B, C, H, W) in [-1, 1]. `number` counts steps from 0, for lazy terms.
        """
        self.forward.clock.set(number)
        return self.take(batches, number)

    def take(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Update both players, the clock being set, which a captured step can't do."""
        self.forward.clock.count()
        groups = [batches[first :: self.pace.groups] for first in range(self.pace.groups)]
        shared = groups[0 if self.generator_first else -1]
        fakes: Fakes = [self.forward.generate(shared[0][0])] if len(shared) == 1 else [None] * len(shared)

        def discriminator() -> Sequence[Measured]:
            due = groups if self.pace.due(number) else []
            made = [fakes if group is shared else [None] * len(group) for group in due]
            updates = [self._discriminator_update(group, fake, number) for group, fake in zip(due, made, strict=True)]
            return means(updates) if updates else [{} for _ in shared]

        def generator() -> Sequence[Measured]:
            return self._generator_update(shared, fakes, number)

        measured = [
            turn() for turn in ((generator, discriminator) if self.generator_first else (discriminator, generator))
        ]
        for learned in self.players.losses:  # from both turns together
            update(learned, self.forward.precision, self.clip)
        self.forward.precision.update()
        if self.players.average is not None:
            self.players.average.update(self.players.generator.network)
        return Scalars.mean(measured, self.objective.weighted)

    def _discriminator_update(self, batches: Sequence[PairTensors], fakes: Fakes, number: int) -> list[Measured]:
        """D judges (source, target) and (source, fake), and moves towards telling them apart; G stays as it is."""
        player, measured = self.players.discriminator, list[Measured]()
        if player is None:
            return [{} for _ in batches]
        with record_function("discriminator_update"):
            for (source, target), made, exchanging in zip(batches, fakes, player.turn(len(batches)), strict=True):
                with exchanging:
                    fake = self.forward.generate_without_history(source) if made is None else made.detach()
                    view = self.forward.view_of(player, source, target, fake)
                    total, values = self.objective.total("discriminator", view, number)
                    self._backward(total, 1 / len(batches))
                measured.append(values | verdict_scalars(view, self.objective.threshold))
            update(player, self.forward.precision, self.clip)
        return measured

    def _generator_update(self, batches: Sequence[PairTensors], fakes: Fakes, number: int) -> list[Measured]:
        """D judges (source, fake) with its weights frozen, and G moves towards what all its terms ask for."""
        player, measured = self.players.generator, list[Measured]()
        with record_function("generator_update"), frozen(self.players.discriminator):
            for (source, target), made, exchanging in zip(batches, fakes, player.turn(len(batches)), strict=True):
                with exchanging:
                    fake = self.forward.generate(source) if made is None else made
                    total, values = self.objective.total("generator", self.forward.view(source, target, fake), number)
                    self._backward(total, 1 / len(batches))
                measured.append(values)
            update(player, self.forward.precision, self.clip)
        return measured

    def _backward(self, total: Tensor, share: float) -> None:
        if total.requires_grad:  # no term of this player may be due
            torch.autograd.backward(self.forward.precision.scale(total), torch.full_like(total, share))
