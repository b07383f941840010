"""How far a run has come and what it remembers; both go into each checkpoint, so that a resumed run knows them too."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes Python's own from 3.12 on

from p2pkit.untyped import Plain


class HealthState(TypedDict, total=False):
    """What a run's alarms have seen; see `p2pkit.engine.training.gan_health.Health`."""

    right: Annotated[list[float], Field(min_length=2, max_length=2)]
    read_at: int
    variety: float | None
    rings: dict[str, bool]


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
        health: What its alarms have seen.
        measured: Sums of the scalars since they were last read, each with its count.
    """

    evaluations: int = 0
    evaluated: int = -1
    metric: str = ""
    reference: float | None = None
    reference_step: int = 0
    waited: int = 0
    rollbacks: int = 0
    health: HealthState = field(default_factory=HealthState)
    measured: dict[str, tuple[float, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, state: Plain) -> LoopState:
        """Return what a checkpoint's state holds; of one that is older than memories, nothing."""
        held = state.get("memory", {})
        return cls(**{each.name: held[each.name] for each in fields(cls) if each.name in held})
