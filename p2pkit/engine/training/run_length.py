"""Where a run stands in its phases and epochs, and how much of it is left."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from p2pkit.config import Plan
from p2pkit.config.phases import Phase
from p2pkit.engine.storage.loop_state import Progress


def phase_at(plan: Plan, at: Progress) -> Phase:
    """Return the phase of a run's next step; of a run at its end, the last one."""
    place = at.epoch if plan.config.schedule.unit == "epochs" else at.step
    return next((phase for phase in plan.phases if place < phase.end), plan.phases[-1])


def batches_per_step(plan: Plan, phase: Phase) -> int:
    """Return how many batches a step takes in a phase."""
    return plan.config.engine.accumulate * phase.updates.groups


def next_whole(plan: Plan, at: Progress, batches: int) -> Progress:
    """Go to the next epoch where too little is left of the one under way for another step.

    Args:
        plan: The run's plan.
        at: How far it has come.
        batches: Batches of an epoch.
    """
    left = batches - at.batches
    return replace(at, epoch=at.epoch + 1, batches=0) if left < batches_per_step(plan, phase_at(plan, at)) else at


def count_remaining(plan: Plan, at: Progress, batches: int) -> tuple[int, int]:
    """Count what is left, in epochs as long as they are now.

    Args:
        plan: The run's plan.
        at: How far it has come.
        batches: Batches of an epoch.

    Returns:
        At how many steps the run ends, and in how many epochs.
    """
    schedule, left, epochs = plan.config.schedule, 0, Fraction(at.epoch)
    present = batches_per_step(plan, phase_at(plan, at))
    for phase in plan.phases:
        size = batches_per_step(plan, phase)
        each = batches // size
        if schedule.unit == "epochs":
            begun = at.batches // size if phase.start <= at.epoch else 0
            left += max(0, phase.end - max(phase.start, at.epoch)) * each - (begun if at.epoch < phase.end else 0)
        else:
            epochs += Fraction(max(0, phase.end - max(phase.start, at.step)), each)
    if schedule.unit == "epochs":
        return at.step + left, schedule.length
    return schedule.length, math.ceil(epochs + Fraction(at.batches // present, batches // present))
