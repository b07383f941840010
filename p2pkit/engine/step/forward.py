"""The forward passes of both players, in the run's arithmetic; what comes out is fp32."""

from __future__ import annotations

from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from p2pkit.engine.device.precision import Precision, uncompiled
from p2pkit.engine.step.clock import Clock
from p2pkit.engine.step.players import Player, Players
from p2pkit.types import Discriminate, Verdict, View


class ForwardPasses:
    """How a run's networks are asked.

    Args:
        players: The networks.
        precision: The arithmetic.
    """

    def __init__(self, players: Players, precision: Precision) -> None:
        self.players = players
        self.precision = precision
        self.clock = Clock(precision.device)

    def generate(self, source: Tensor) -> Tensor:
        """Make fakes that the generator can learn from.

        Shape: (B, C_source, H, W) -> (B, C_target, H, W), in [-1, 1].
        """
        return self._generate(self.players.generator.learning, source)

    @torch.no_grad()
    def generate_without_history(self, source: Tensor) -> Tensor:
        """Make fakes that only the discriminator learns from; shapes as in `generate`."""
        return self._generate(self.players.generator.network, source)

    def _generate(self, network: nn.Module, source: Tensor) -> Tensor:
        with record_function("forward"), self.precision.autocast():
            fake: Tensor = self.precision.asking(network)(source)
        return fake.float()

    def view(self, source: Tensor, target: Tensor, fake: Tensor) -> View:
        """Return what the generator's terms see of a batch."""
        adversary = self.players.discriminator
        judge = self.judge(adversary.network) if adversary else None
        generate = partial(self._generate, self.players.generator.network)
        return View(source, target, fake, judge, generate=generate, step=self.clock.step)

    def view_of(self, adversary: Player, source: Tensor, target: Tensor, fake: Tensor) -> View:
        """Return what the discriminator's terms see of a batch, in which the generator leaves no history."""
        judge = self.judge(adversary.learning, own_turn=True)
        return View(source, target, fake, judge, generate=self.generate_without_history, step=self.clock.step)

    def judge(self, discriminator: nn.Module, *, own_turn: bool = False) -> Discriminate:
        """Return how losses ask a discriminator, or its other self among several processes."""
        return partial(self._judge, self.precision.asking(discriminator), own_turn)

    def _judge(self, ask: Discriminate, own_turn: bool, source: Tensor, image: Tensor) -> Verdict:
        penalty = own_turn and image.requires_grad  # whose gradient is differentiated again
        with self.precision.autocast(), uncompiled(penalty):
            verdict = ask(source, image)
        return _InFp32(tuple(map(Tensor.float, verdict.logits)), verdict.features)


class _InFp32(Verdict):
    """A verdict whose features, which are large, are cast only where a loss reads them."""

    def __init__(self, logits: tuple[Tensor, ...], features: tuple[tuple[Tensor, ...], ...]) -> None:
        vars(self)["computed"] = features
        object.__setattr__(self, "logits", logits)

    @cached_property
    def features(self) -> tuple[tuple[Tensor, ...], ...]:
        return tuple(tuple(map(Tensor.float, scale)) for scale in vars(self)["computed"])
