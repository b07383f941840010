"""Who moves when: the order of the two players in a step, and how often each moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from p2pkit.config.phase_sections import UpdatesConfig
from p2pkit.engine.step.objective import PlayerName

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

    def groups(self, batches: Sequence[T]) -> list[Sequence[T]]:
        """Divide a step's batches among the discriminator's updates."""
        count = self.updates.groups
        return [batches[first::count] for first in range(count)]

    @property
    def shared(self) -> int:
        """Which group the generator learns from too: the one nearest to its own turn."""
        return 0 if self.generator_first else self.updates.groups - 1

    def due(self, number: int) -> Iterator[tuple[PlayerName, int]]:
        """Yield who moves in a step, and on which group.

        Args:
            number: The step's, from 0.
        """
        if self.generator_first:
            yield "generator", self.shared
        if self.updates.due(number):
            yield from (("discriminator", place) for place in range(self.updates.groups))
        if not self.generator_first:
            yield "generator", self.shared
