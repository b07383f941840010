"""The forward passes of both players, in the run's arithmetic; what comes out is fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from p2pkit.engine.device.precision import Precision, uncompiled
from p2pkit.engine.step.clock import Clock
from p2pkit.engine.step.objective import Objective
from p2pkit.engine.step.players import Player, Players
from p2pkit.extras.calling import answered, chosen
from p2pkit.extras.values import where_it_counts
from p2pkit.types import Discriminate, Made, Verdict, View

PairTensors = tuple[Tensor, ...]
"""A batch: sources, targets, and extras in the order of their names."""
Fakes = Sequence[Made | None]


class ForwardPasses:
    """How a run's networks are asked.

    Args:
        players: The networks.
        precision: The arithmetic.
        extras: Names of what a batch holds beside its two images, in order.
        objective: The terms, of which some may make extras; none do by default.
        mask: Which of them says what counts; empty where all does.
    """

    def __init__(
        self,
        players: Players,
        precision: Precision,
        extras: Sequence[str] = (),
        objective: Objective | None = None,
        *,
        mask: str = "",
    ) -> None:
        self.mask = mask
        self.players = players
        self.precision = precision
        self.extras = tuple(extras)
        self.objective = objective or Objective(())
        self.clock = Clock(precision.device)

    def named(self, extras: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return a batch's extras by name."""
        return dict(zip(self.extras, extras, strict=True))

    def fakes(self, batch: Sequence[Tensor], *, history: bool = True) -> Made:
        """Make a batch's fakes, for whoever learns from them.

        Args:
            batch: Sources, targets and extras.
            history: Whether the generator is to learn from them.

        Returns:
            The fakes, and beside them what losses and the generator made.
        """
        source, target, *extras = batch
        given = self.named(extras)
        with torch.set_grad_enabled(history):
            encoded = self.objective.encoded(source, target, given)
        generate = self.generate if history else self.generate_without_history
        made = generate(source, **{**given, **encoded})
        fake = where_it_counts(made.fake, target, given[self.mask]) if self.mask else made.fake
        return Made(fake, {**encoded, **made.extras})

    def generate(self, source: Tensor, **extras: Tensor) -> Made:
        """Make fakes that the generator can learn from.

        Shape: (B, C_source, H, W) -> (B, C_target, H, W), in [-1, 1].
        """
        return self._generate(self.players.generator.learning, source, **extras)

    @torch.no_grad()
    def generate_without_history(self, source: Tensor, **extras: Tensor) -> Made:
        """Make fakes that only the discriminator learns from; shapes as in `generate`."""
        return self._generate(self.players.generator.network, source, **extras)

    def _generate(self, network: nn.Module, source: Tensor, **extras: Tensor) -> Made:
        wanted = chosen(self.players.generator.network, extras)
        with record_function("forward"), self.precision.autocast():
            made = answered(self.precision.asking(network)(source, **wanted))
        return Made(made.fake.float(), {name: _as_floats(value) for name, value in made.extras.items()})

    def view(self, batch: Sequence[Tensor], made: Made) -> View:
        """Return what the generator's terms see of a batch."""
        adversary = self.players.discriminator
        judge = self.judge(adversary.network) if adversary else None
        return self._view(batch, made, judge, partial(self._generate, self.players.generator.network))

    def view_of(self, adversary: Player, batch: Sequence[Tensor], made: Made) -> View:
        """Return what the discriminator's terms see of a batch, in which the generator leaves no history."""
        judge = self.judge(adversary.learning, own_turn=True)
        return self._view(batch, made, judge, self.generate_without_history)

    def _view(self, batch: Sequence[Tensor], made: Made, judge: Discriminate | None, ask: Callable[..., Made]) -> View:
        source, target, *extras = batch

        def generate(source: Tensor, **extras: Tensor) -> Tensor:
            return ask(source, **extras).fake

        beside, step = self.named(extras), self.clock.step
        return View(source, target, made.fake, judge, generate=generate, step=step, extras=beside, made=made.extras)

    def judge(self, discriminator: nn.Module, *, own_turn: bool = False) -> Discriminate:
        """Return how losses ask a discriminator, or its other self among several processes."""
        return partial(self._judge, self.precision.asking(discriminator), own_turn)

    def _judge(self, ask: Discriminate, own_turn: bool, source: Tensor, image: Tensor, **extras: Tensor) -> Verdict:
        penalty = own_turn and image.requires_grad  # whose gradient is differentiated again
        wanted = chosen(self.players.discriminator.network, extras, 2) if self.players.discriminator else {}
        with self.precision.autocast(), uncompiled(penalty):
            verdict = ask(source, image, **wanted)
        return _InFp32(tuple(map(Tensor.float, verdict.logits)), verdict.features)


def _as_floats(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


class _InFp32(Verdict):
    """A verdict whose features, which are large, are cast only where a loss reads them."""

    def __init__(self, logits: tuple[Tensor, ...], features: tuple[tuple[Tensor, ...], ...]) -> None:
        vars(self)["computed"] = features
        object.__setattr__(self, "logits", logits)

    @cached_property
    def features(self) -> tuple[tuple[Tensor, ...], ...]:
        return tuple(tuple(map(Tensor.float, scale)) for scale in vars(self)["computed"])
