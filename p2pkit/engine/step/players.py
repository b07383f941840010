"""Who plays: the networks with their optimisers, and what becomes of one while the other moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from p2pkit.engine.step.ema import EMA


@dataclass(frozen=True, slots=True)
class Player:
    """A network, its optimiser, and the network's other self among several processes.

    Only in its own turn a network learns, so only there its gradient is averaged over the processes.
    """

    network: nn.Module
    optimizer: Optimizer
    wrapped: DistributedDataParallel | None = None

    @property
    def learning(self) -> nn.Module:
        """The network as it takes part in its own turn."""
        return self.network if self.wrapped is None else self.wrapped

    def turn(self, batches: int) -> Iterator[AbstractContextManager[object]]:
        """Yield the context of each batch of a turn; processes exchange gradients only after the last one."""
        for _ in range(batches - 1):
            yield nullcontext() if self.wrapped is None else self.wrapped.no_sync()
        yield nullcontext()


@dataclass(frozen=True, slots=True)
class Players:
    """Both players and the generator's moving average; the discriminator is absent in a run without adversary."""

    generator: Player
    discriminator: Player | None
    average: EMA | None = None

    @property
    def named(self) -> dict[str, Player]:
        """The players that there are, by name."""
        both = {"generator": self.generator, "discriminator": self.discriminator}
        return {name: player for name, player in both.items() if player is not None}


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
