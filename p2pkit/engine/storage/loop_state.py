"""How far a run has come and what it remembers; both go into each checkpoint, so that a resumed run knows them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Args:
        step: Updates of the generator.
        epoch: Number of the epoch under way, from 0.
        batches: Batches of that epoch that are done, each of all processes together.
    """

    step: int = 0
    epoch: int = 0
    batches: int = 0


@dataclass
class LoopState:
    """What a run remembers.

    Args:
        evaluations: How many there were.
        evaluated: Step of the last one; -1 before the first.
        metric: The metric that early stopping goes by.
        reference: Its value that a later one has to beat.
        reference_step: When that was reached.
        waited: Evaluations since then.
        rollbacks: How often the run went back after a number that was not finite.
    """

    evaluations: int = 0
    evaluated: int = -1
    metric: str = ""
    reference: float | None = None
    reference_step: int = 0
    waited: int = 0
    rollbacks: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> LoopState:
        """Return what a checkpoint's state holds; of one that is older than memories, nothing."""
        held = state.get("memory", {})
        return cls(**{field.name: held[field.name] for field in fields(cls) if field.name in held})
