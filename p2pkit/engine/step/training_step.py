"""The training step: who moves when, and nothing else.

Device scalars go out; the host is never waited for, and no branch depends on a tensor's value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from p2pkit.engine.device.precision import Precision
from p2pkit.engine.step.ema import EMA
from p2pkit.engine.step.objective import Objective, PlayerName, Scalars
from p2pkit.types import Verdict, View

PairTensors = tuple[Tensor, Tensor]
Update = Callable[[Sequence[PairTensors], int], Scalars]


@dataclass(frozen=True, slots=True)
class Player:
    """A player: its network, its optimiser, and the network's other self among several processes.

    Only in its own turn a network learns, so only there its gradient is averaged over the processes.
    """

    network: nn.Module
    optimizer: Optimizer
    wrapped: DistributedDataParallel | None = None

    @property
    def learning(self) -> nn.Module:
        """The network as it takes part in its own turn."""
        return self.network if self.wrapped is None else self.wrapped

    def collecting(self, last: bool) -> AbstractContextManager[object]:
        """Return the context of one batch; the processes exchange gradients only after the last one."""
        return nullcontext() if last or self.wrapped is None else self.wrapped.no_sync()


@dataclass(frozen=True, slots=True)
class Players:
    """Both players and the generator's moving average; the discriminator is absent in a run without adversary."""

    generator: Player
    discriminator: Player | None
    average: EMA | None = None


class TrainingStep:
    """One update of each player.

    The generator's fake is made once and serves both turns; with several batches to accumulate it is made again
    in the generator's turn, so that only one batch's history is in memory.

    Args:
        players: The networks and optimisers.
        objective: What they minimise.
        precision: Arithmetic of the forward passes, and the scaler of fp16.
        generator_first: Whether the generator moves before the discriminator.
        clip: Largest norm of each network's gradient.

    Source: Isola et al. 2017, arXiv:1611.07004, section 3.3.
    """

    def __init__(
        self,
        players: Players,
        objective: Objective,
        precision: Precision,
        *,
        generator_first: bool = False,
        clip: float | None = None,
    ) -> None:
        self.players = players
        self.objective = objective
        self.precision = precision
        self.order: tuple[PlayerName, ...] = ("generator",)
        if players.discriminator is not None:
            self.order = ("generator", "discriminator") if generator_first else ("discriminator", "generator")
        self.clip = clip

    def __call__(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Update both players.

        Args:
            batches: One batch, or several whose gradients are added up.
            number: Number of the step, from 0; lazy terms look at it.

        Returns:
            Detached scalars on the device.

        Shape: each batch is (source, target), (B, C, H, W) in [-1, 1].
        """
        fakes = [self._generate(batches[0][0])] if len(batches) == 1 else [None] * len(batches)
        scalars: Scalars = {}
        for player in self.order:
            self._turn(player, batches, fakes, number, scalars)
        self.precision.update()
        if self.players.average is not None:
            self.players.average.update(self.players.generator.network)
        return scalars

    def _turn(
        self,
        player: PlayerName,
        batches: Sequence[PairTensors],
        fakes: Sequence[Tensor | None],
        number: int,
        scalars: Scalars,
    ) -> None:
        """Move one player."""
        turn = self._discriminator_turn if player == "discriminator" else self._generator_turn
        with turn(player) as side:
            for count, ((source, target), fake) in enumerate(zip(batches, fakes, strict=True), 1):
                with side.collecting(last=count == len(batches)):
                    view = self.view(player, source, target, fake)
                    total, measured = self.objective.total(player, view, number)
                    if total.requires_grad:  # no term of this player may be due
                        torch.autograd.backward(self.precision.scale(total / len(batches)))
                _add(scalars, {**measured, **_judgement(player, view, self.objective.threshold)}, 1 / len(batches))
            self._update(side)

    def _generate(self, source: Tensor) -> Tensor:
        side = self.players.generator
        with self.precision.autocast():
            fake: Tensor = (side.learning if torch.is_grad_enabled() else side.network)(source)
        return fake.float()

    def _discriminate(self, player: PlayerName, source: Tensor, image: Tensor) -> Verdict:
        side = self.players.discriminator
        assert side is not None
        with self.precision.autocast():
            verdict: Verdict = (side.learning if player == "discriminator" else side.network)(source, image)
        logits = tuple(map(Tensor.float, verdict.logits))
        return Verdict(logits, tuple(tuple(map(Tensor.float, scale)) for scale in verdict.features))

    def view(self, player: PlayerName, source: Tensor, target: Tensor, fake: Tensor | None) -> View:
        """Return what the terms see of a batch in a player's turn; the fake is made where it is not given."""
        if fake is None:
            with torch.set_grad_enabled(player == "generator"):
                fake = self._generate(source)
        fake = fake.detach() if player == "discriminator" else fake
        return View(source, target, fake, partial(self._discriminate, player) if self.players.discriminator else None)

    @contextmanager
    def _discriminator_turn(self, player: PlayerName) -> Iterator[Player]:
        assert self.players.discriminator is not None
        yield self.players.discriminator

    @contextmanager
    def _generator_turn(self, player: PlayerName) -> Iterator[Player]:
        """Freeze the discriminator: the generator's gradient passes through it and leaves nothing there."""
        frozen = list(self.players.discriminator.network.parameters()) if self.players.discriminator else []
        for parameter in frozen:
            parameter.requires_grad_(False)
        try:
            yield self.players.generator
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)

    def _update(self, side: Player) -> None:
        if self.clip is not None:
            self.precision.unscale(side.optimizer)
            nn.utils.clip_grad_norm_(side.network.parameters(), self.clip)
        self.precision.step(side.optimizer)
        side.optimizer.zero_grad(set_to_none=True)


def _judgement(player: PlayerName, view: View, threshold: float | None) -> Scalars:
    """Return the discriminator's mean logits, where a term has asked for verdicts anyway, and how often it is right."""
    if player == "generator":
        return {}
    asked = {"real": "on_target", "fake": "on_fake"}
    verdicts = {name: view.__dict__[key].logits for name, key in asked.items() if key in view.__dict__}
    scalars = {f"train/verdict/{name}": _mean(logits) for name, logits in verdicts.items()}
    if threshold is not None:
        for name, logits in verdicts.items():
            right = [((scale > threshold) == (name == "real")).float() for scale in logits]
            scalars[f"train/accuracy/{name}"] = _mean(right)
    return scalars


def _mean(logits: Sequence[Tensor]) -> Tensor:
    return torch.stack([scale.detach().mean() for scale in logits]).mean()


def _add(sums: Scalars, values: Scalars, factor: float) -> None:
    for name, value in values.items():
        sums[name] = sums[name] + value * factor if name in sums else value * factor
