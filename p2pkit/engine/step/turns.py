"""Who moves when: the order of the two players in a step, and how often each moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from p2pkit.config.phases import UpdatesConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Turns:
    """The order and the pace of the players.

    Args:
        generator_first: Whether the generator moves before the discriminator.
        updates: How often the discriminator moves, for each update of the generator.
    """

    generator_first: bool = False
    updates: UpdatesConfig = field(default_factory=UpdatesConfig)

    def groups(self, batches: Sequence[T]) -> tuple[list[Sequence[T]], int]:
        """Divide a step's batches among the discriminator's updates.

        Returns:
            The batches of each update, and in which place stand those that the generator learns from too: the ones
            nearest to its own turn.
        """
        count = self.updates.groups
        return [batches[first::count] for first in range(count)], 0 if self.generator_first else count - 1

    def take(self, discriminator: Callable[[], T], generator: Callable[[], T]) -> list[T]:
        """Let both move, one after the other."""
        return [turn() for turn in (discriminator, generator)[:: -1 if self.generator_first else 1]]
