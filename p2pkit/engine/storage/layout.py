"""What lies where in a run's folder: the names of its files, and its checkpoints by age and worth.

run.yaml       the resolved config
checkpoints/   step-00000400/: the latest ones, each with the files below
best/          the best one by `checkpoint.best`, apart from the latest
abandoned/     those that lie after the one from which the run was resumed
samples/       step-00000400.png, .json and a folder: an evaluation's sheet, scores and pictures
evaluations/   folders like a run's own, of its checkpoints that were evaluated later
error.txt      the traceback of a component that failed
*.id           what trackers call the run
"""

from __future__ import annotations

import shutil
from pathlib import Path

CONFIG = "run.yaml"
TRACEBACK = "error.txt"
NOTES = "*.id"
CHECKPOINTS = "checkpoints"
BEST = "best"
ABANDONED = "abandoned"
SAMPLES = "samples"
EVALUATIONS = "evaluations"

GENERATOR = "generator.safetensors"
TRAINING = "training.safetensors"
STATISTICS = "recalibrated.safetensors"
"""Batch norm's statistics, gathered anew; only where the config's mode asks for them."""
STATE = "state.json"


def checkpoint_name(step: int) -> str:
    """Return what the folder of a step's checkpoint is called."""
    return f"step-{step:08d}"


def step_of(checkpoint: Path) -> int:
    """Return the step of a checkpoint's folder."""
    return int(checkpoint.name.removeprefix("step-"))


def sheet_path(folder: Path, step: int, split: str = "") -> Path:
    """Return where a run's sample sheet of a step lies; an evaluation's own run says of which split it is."""
    return folder / SAMPLES / f"{split}{'-' if split else ''}{checkpoint_name(step)}.png"


def checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).is_file())


def inference_files(checkpoint: Path) -> tuple[Path, ...]:
    """Return the files of a checkpoint that its generator is used by: all but what only training goes on with.

    Args:
        checkpoint: The checkpoint's folder; a copy of these files is a checkpoint that can be loaded and evaluated.
    """
    files = (file for file in checkpoint.iterdir() if file.is_file() and not file.name.startswith("."))
    return tuple(sorted(file for file in files if file.name != TRAINING))


def prune(folder: Path, keep: int) -> None:
    """Remove all but the latest checkpoints of a folder."""
    for path in checkpoints(folder)[:-keep]:
        shutil.rmtree(path)


def abandon_later_checkpoints(folder: Path, step: int) -> None:
    """Move a run's checkpoints that lie after a step out of the way of those that will come."""
    for path in checkpoints(folder / CHECKPOINTS):
        if step_of(path) > step:
            aside = folder / ABANDONED / path.name
            shutil.rmtree(aside, ignore_errors=True)
            aside.parent.mkdir(exist_ok=True)
            path.rename(aside)
