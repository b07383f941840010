"""What lies where in a run's folder: the names of its files, and its checkpoints by age and worth."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

TRACEBACK = "error.txt"


GENERATOR = "generator.safetensors"
TRAINING = "training.safetensors"
STATISTICS = "recalibrated.safetensors"
STATE = "state.json"
CONFIG = "run.yaml"


def checkpoints(folder: Path) -> list[Path]:
    """Return a run's whole checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).is_file())


def prune(folder: Path, keep: int) -> None:
    """Remove all but the latest checkpoints of a run."""
    for path in checkpoints(folder)[:-keep]:
        shutil.rmtree(path)


ABANDONED = "abandoned"
"""Folder in a run's folder with checkpoints that lie after the one from which it was resumed."""


def abandon_later_checkpoints(folder: Path, step: int) -> None:
    """Move checkpoints that lie after a step out of the way of those that will come."""
    for path in _after(folder / "checkpoints", step):
        aside = folder / ABANDONED / path.name
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(exist_ok=True)
        path.rename(aside)


def _after(folder: Path, step: int) -> Iterator[Path]:
    return (path for path in checkpoints(folder) if int(path.name.removeprefix("step-")) > step)


NOTES = "*.id"
"""Files in a run's folder in which trackers keep their own name for the run."""


BEST = "best"
"""Folder in a run's folder that holds its best checkpoint, apart from the latest ones."""
