"""Numbers that are no longer finite: noticed before they are saved, and left behind where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.storage.checkpoint import read_state
from p2pkit.engine.storage.layout import CHECKPOINTS, checkpoints
from p2pkit.engine.storage.loop_state import LoopState, Progress
from p2pkit.engine.training.checkpointing import load_checkpoint
from p2pkit.errors import Problem, TrainingError

_MOST_ROLLBACKS = 3


class NotFinite(TrainingError):
    """A loss or a weight is no longer a finite number."""


def check_scalars(step: int, scalars: Mapping[str, float], folder: Path) -> None:
    """Look at what was read.

    Raises:
        NotFinite: Some of it is not finite.
    """
    broken = [name for name, value in scalars.items() if not math.isfinite(value)]
    if broken:
        raise NotFinite(_problem(f"{', '.join(broken)} is no longer a finite number at step {step}", folder))


def check_weights(step: int, assembly: Assembly, folder: Path) -> None:
    """Look at all that a checkpoint would hold.

    Raises:
        NotFinite: A weight or a moment is not finite, or a statistic is not a number.
    """
    players = assembly.players
    for name, player in players.named.items():
        average = players.average.network.parameters() if players.average and name == "generator" else ()
        moments = (value for state in player.optimizer.state.values() for value in state.values())
        tensors = (*player.network.parameters(), *average, *filter(torch.is_tensor, moments))
        if not all(map(_finite, tensors)) or any(map(_lost, player.network.buffers())):
            raise NotFinite(_problem(f"the {name}'s weights are no longer finite numbers at step {step}", folder))


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _lost(buffer: Tensor) -> bool:
    """Whether a buffer holds what is not a number; infinity may be meant, as in a mask."""
    return bool(buffer.isnan().any())


def _problem(cause: str, folder: Path) -> Problem:
    remedy = "lower optimizers.*.lr, set engine.clip, use engine.precision fp32, or let engine.on_nan be rollback"
    saved = checkpoints(folder / CHECKPOINTS)
    last = f"; the last checkpoint, {saved[-1]}, is sound" if saved else ""
    return Problem("training", cause, f"{remedy}{last}")


def rollback(error: NotFinite, folder: Path, assembly: Assembly, rollbacks: int) -> tuple[Progress, LoopState]:
    """Put a run back to its last checkpoint, with other dropout and augmentation than those that led astray.

    Args:
        error: What was found.
        folder: The run's folder.
        assembly: The run.
        rollbacks: How often it went back before.

    Returns:
        Where it stands, and what it remembers.

    Raises:
        NotFinite: The config does not want it, or it was tried too often.
    """
    saved = checkpoints(folder / CHECKPOINTS)
    if assembly.checked.plan.config.engine.on_nan == "stop" or not saved or rollbacks == _MOST_ROLLBACKS:
        raise error
    position = load_checkpoint(saved[-1], assembly)
    memory = LoopState.of(read_state(saved[-1]))
    memory.rollbacks = rollbacks + 1
    for device in {torch.device("cpu"), assembly.place.device}:
        torch.rand(memory.rollbacks, device=device)
    return position, memory


def rollback_lr_factor(rollbacks: int) -> float:
    """Return the learning rate's factor after some rollbacks: each halves it."""
    return 0.5**rollbacks


def describe_rollback(rollbacks: int) -> str:
    """Say how a run goes on after a rollback."""
    count = f"{rollbacks} of at most {_MOST_ROLLBACKS} times"
    return f"another order, {rollback_lr_factor(rollbacks):g} of the learning rate ({count})"
