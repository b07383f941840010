"""Where runs lie on disk, and how a run is found by what a user calls it."""

from __future__ import annotations

import difflib
import time
from pathlib import Path

from p2pkit.engine.storage.layout import BEST, CHECKPOINTS, CONFIG, NOTES, STATE, checkpoints
from p2pkit.errors import ModelError, Problem


def new_folder(parent: Path, name: str | None, recipe: str) -> Path:
    """Make a run's folder, named as asked or by the recipe and the time, with a number where that is taken."""
    base = name or f"{recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in range(1, 10_000):
        folder = parent / (base if attempt == 1 else f"{base}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise ModelError(Problem(str(parent / base), "there are ten thousand runs of this name", "choose another name"))


def run_folders(parent: Path) -> dict[str, Path]:
    """Return the runs below a folder by name; those of a sweep, which has a folder of its own, as `sweep/run`."""
    configs = (*sorted(parent.glob(f"*/{CONFIG}")), *sorted(parent.glob(f"*/*/{CONFIG}")))
    return {config.parent.relative_to(parent).as_posix(): config.parent for config in configs}


def find_run(name: str | Path, parent: Path = Path("runs")) -> Path:
    """Return the folder of a run.

    Args:
        name: A run's folder, its name, or the name a tracker gave it (MLflow's run id).
        parent: The folder that holds the runs.

    Raises:
        ModelError: There is no such run.
    """
    if (Path(name) / CONFIG).is_file():
        return Path(name)
    known = run_folders(parent)
    if str(name) in known:
        return known[str(name)]
    for folder in known.values():
        if any(note.read_text(encoding="utf-8").strip() == str(name) for note in folder.glob(NOTES)):
            return folder
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.3) or sorted(known)[-3:]
    remedy = f"runs in {parent}: {', '.join(near)}" if near else f"there are no runs in {parent} yet"
    raise ModelError(Problem("", f"there is no run or checkpoint {str(name)!r}", remedy))


def find_checkpoint(name: str | Path, parent: Path = Path("runs")) -> Path:
    """Return a checkpoint's folder: the one named, or the latest of the run named; `RUN@best` is the run's best."""
    path = Path(name)
    if (path / STATE).is_file():
        return path
    run, _, which = str(name).rpartition("@")
    chosen = which if run and which in (BEST, "last") else ""
    folder = find_run(run if chosen else name, parent)
    if (folder / STATE).is_file() and not chosen:
        return folder
    found = checkpoints(folder / (BEST if chosen == BEST else CHECKPOINTS))
    if not found and chosen == BEST:
        remedy = "set checkpoint.best before training, or take the latest one"
        raise ModelError(Problem(str(folder), "this run has no best checkpoint", remedy))
    if not found:
        raise ModelError(Problem(str(folder), "this run has no checkpoint yet", "was it stopped before it saved one?"))
    return found[-1]


def run_of(checkpoint: Path) -> Path | None:
    """Return the folder of the run that a checkpoint is of; None for a model that was imported."""
    folder = checkpoint.parent.parent
    named = checkpoint.parent.name in (CHECKPOINTS, BEST)
    return folder if named and (folder / CONFIG).is_file() else None
