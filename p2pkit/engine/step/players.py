"""Who plays: the networks with their optimisers, and what becomes of one while the other moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.profiler import record_function

from p2pkit.engine.device.precision import Precision
from p2pkit.engine.step.ema import EMA
from p2pkit.engine.step.objective import Objective


@dataclass(frozen=True, slots=True)
class Player:
    """A network, its optimiser, and the network's other self among several processes.

    Only in its own turn a network learns, so only there its gradient is averaged over the processes.

    Args:
        network: The network.
        optimizer: What updates it.
        wrapped: Its other self, whose backward pass exchanges gradients.
        averaged: What exchanges them before an update, for a network that has no forward pass of its own.
    """

    network: nn.Module
    optimizer: Optimizer
    wrapped: DistributedDataParallel | None = None
    averaged: Callable[[nn.Module], None] | None = None

    @property
    def learning(self) -> nn.Module:
        """The network as it takes part in its own turn."""
        return self.network if self.wrapped is None else self.wrapped

    def exchange(self) -> None:
        """Average the gradients over the processes, where that is not done by the backward pass."""
        if self.averaged is not None:
            self.averaged(self.network)

    def turn(self, batches: int) -> Iterator[AbstractContextManager[object]]:
        """Yield the context of each batch of a turn; processes exchange gradients only after the last one."""
        for _ in range(batches - 1):
            yield nullcontext() if self.wrapped is None else self.wrapped.no_sync()
        yield nullcontext()


@dataclass(frozen=True, slots=True)
class Players:
    """All that learn: both players, and the losses that have parameters of their own.

    Args:
        generator: The generator.
        discriminator: The discriminator; absent in a run without adversary.
        average: The generator's moving average.
        learned: By name of its term each loss that learns, from all turns in which it has a say.
    """

    generator: Player
    discriminator: Player | None
    average: EMA | None = None
    learned: Mapping[str, Player] = field(default_factory=dict)

    @property
    def losses(self) -> tuple[Player, ...]:
        """The losses that learn."""
        return tuple(self.learned.values())

    def having_a_say(self, objective: Objective) -> Players:
        """Return those who take part where these terms have a weight: without an adversary nobody judges."""
        weighing = {term.name for term in objective.terms if term.part.weight > 0}
        learned = {name: player for name, player in self.learned.items() if name in weighing}
        return replace(self, discriminator=self.discriminator if objective.adversarial else None, learned=learned)

    @property
    def named(self) -> dict[str, Player]:
        """All that there are, by name: `generator`, `discriminator`, `losses.TERM`."""
        both = {"generator": self.generator, "discriminator": self.discriminator}
        losses = {f"losses.{term}": player for term, player in self.learned.items()}
        return {name: player for name, player in both.items() if player is not None} | losses


@contextmanager
def frozen(player: Player | None) -> Iterator[None]:
    """Let gradients pass through a player's network and leave nothing there; what was frozen before stays so."""
    parameters = [p for p in player.network.parameters() if p.requires_grad] if player else []
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def update(player: Player, precision: Precision, clip: float | None) -> None:
    """Move a player by its gradient, and leave none.

    Args:
        player: Who moves.
        precision: The arithmetic, which may have scaled the gradient.
        clip: Largest norm of the gradient.
    """
    with record_function("optimiser"):
        player.exchange()
        if clip is not None:
            precision.unscale(player.optimizer)
            nn.utils.clip_grad_norm_(player.network.parameters(), clip)
        precision.step(player.optimizer)
        player.optimizer.zero_grad(set_to_none=True)
