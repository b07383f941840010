"""What lies where in a run's folder: the names of its files, and its checkpoints by age and worth.

run.yaml       the resolved config
checkpoints/   step-00000400/: the latest ones, each with the files below
best/          the best one by `checkpoint.best`, apart from the latest
abandoned/     what was made after the checkpoint from which the run went on
samples/       step-00000400.png, .json and a folder: an evaluation's sheet, scores and pictures
evaluations/   folders like a run's own, of its checkpoints that were evaluated later
plugins/       the one-file plugins that the config names
error.txt      the traceback of a component that failed
*.id           what trackers call the run
"""

from __future__ import annotations

import shutil
from pathlib import Path

from p2pkit.atomic_files import remove_folder, sweep_leftovers, writing
from p2pkit.plugins.one_file import FOLDER

CONFIG = "run.yaml"
TRACEBACK = "error.txt"
NOTES = "*.id"
CHECKPOINTS = "checkpoints"
BEST = "best"
ABANDONED = "abandoned"
SAMPLES = "samples"
EVALUATIONS = "evaluations"
PLUGINS = FOLDER
"""The one-file plugins that the config names; in each checkpoint, too."""

GENERATOR = "generator.safetensors"
TRAINING = "training.safetensors"
STATISTICS = "recalibrated.safetensors"
"""Batch norm's statistics, gathered anew; only where the config's mode asks for them."""
STATE = "state.json"
SCORES = "scores.json"
"""What a model's latest evaluation measured, where it has left its run."""


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
    plugins = (checkpoint / PLUGINS).glob("*.py")
    return (*sorted(file for file in files if file.name != TRAINING), *sorted(plugins))


def copy_for_inference(checkpoint: Path, to: Path) -> None:
    """Copy a checkpoint without what only training goes on with; the copy can be loaded and evaluated.

    Args:
        checkpoint: The checkpoint's folder.
        to: The folder that is to hold the copy.
    """
    for file in inference_files(checkpoint):
        place = to / file.relative_to(checkpoint)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, place)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the latest checkpoints of a folder."""
    for path in checkpoints(folder)[:-keep]:
        remove_folder(path)


def abandon_later(folder: Path, step: int) -> list[str]:
    """Move what a run made after a step out of the way of what will come: checkpoints, the best one, samples.

    Returns:
        What was moved, as paths in the run's folder.
    """
    moved = []
    for room in (CHECKPOINTS, BEST, SAMPLES):
        for path in sorted((folder / room).glob("step-*")):
            number = path.name.removeprefix("step-").partition(".")[0]
            if number.isdigit() and int(number) > step:
                aside = folder / ABANDONED / room / path.name
                if aside.is_dir():
                    remove_folder(aside)
                with writing(aside):
                    aside.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(aside)
                moved.append(f"{room}/{path.name}")
    return moved


def tidy(folder: Path) -> None:
    """Remove what an earlier process, killed while it wrote or removed something, has left of it."""
    for room in (CHECKPOINTS, BEST, SAMPLES):
        sweep_leftovers(folder / room)
