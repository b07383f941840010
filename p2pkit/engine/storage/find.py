"""Where runs lie on disk, and how a run is found by what a user calls it."""

from __future__ import annotations

import difflib
import os
import re
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from p2pkit.atomic_files import writing
from p2pkit.engine.storage.layout import BEST, CHECKPOINTS, CONFIG, GENERATOR, NOTES, STATE, TRAINING, checkpoints
from p2pkit.engine.storage.state import read_state, verify
from p2pkit.errors import ModelError, Problem, StorageError
from p2pkit.yaml_files import shortened

SHIPPED = Path(__file__).parents[2] / "models"
"""The models that come with p2pkit, by name."""


def new_folder(parent: Path, name: str | None, recipe: str) -> Path:
    """Make a run's folder, named as asked or by the recipe and the time, with a number where that is taken."""
    base = name or f"{recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in range(1, 10_000):
        folder = parent / (base if attempt == 1 else f"{base}-{attempt}")
        try:
            with writing(folder):
                folder.mkdir(parents=True)
        except StorageError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            continue
        return folder
    raise ModelError(Problem(str(parent / base), "there are ten thousand runs of this name", "choose another name"))


def run_folders(parent: Path) -> dict[str, Path]:
    """Return the runs below a folder by name; those of a sweep, which has a folder of its own, as `sweep/run`."""
    configs = (*sorted(parent.glob(f"*/{CONFIG}")), *sorted(parent.glob(f"*/*/{CONFIG}")))
    return {config.parent.relative_to(parent).as_posix(): config.parent for config in configs}


def find_run(name: str | Path, parent: Path = Path("runs")) -> Path:
    """Return the folder of a run, or else of a model that comes with p2pkit: what is the user's own wins.

    Args:
        name: A run's folder, its name, the name a tracker gave it (MLflow's run id), or a shipped model's.
        parent: The folder that holds the runs.

    Raises:
        ModelError: There is no such run.
    """
    if os.path.isfile(Path(name) / CONFIG):  # which holds for no name that is too long
        return Path(name)
    known = run_folders(parent)
    if str(name) in known:
        return known[str(name)]
    for folder in known.values():
        if any(note.read_text(encoding="utf-8").strip() == str(name) for note in folder.glob(NOTES)):
            return folder
    if str(name) in shipped_models():
        return SHIPPED / name
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.3) or sorted(known)[-3:]
    remedy = f"runs in {parent}: {', '.join(near)}" if near else f"there are no runs in {parent} yet"
    raise ModelError(Problem("", f"there is no run or checkpoint {shortened(str(name))}", remedy))


def shipped_models() -> list[str]:
    """Return the names of the models that come with p2pkit."""
    return sorted(config.parent.name for config in SHIPPED.glob(f"*/{CONFIG}"))


def find_checkpoint(
    name: str | Path,
    parent: Path = Path("runs"),
    *,
    training: bool = False,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Return a checkpoint's folder: the one named, or the latest sound one of the run named; `RUN@best` is its best.

    Args:
        name: A checkpoint, or a run as for `find_run`.
        parent: The folder that holds the runs.
        training: Whether what only training needs must be sound too.
        note: Hears which damaged checkpoints were passed over; by default a warning says so.

    Raises:
        ModelError: There is none, or none that is sound.
    """
    path = Path(name)
    if os.path.isfile(path / STATE):
        return path
    run, _, which = str(name).rpartition("@")
    chosen = which if run and which in (BEST, "last") else ""
    folder = find_run(run if chosen else name, parent)
    if (folder / STATE).is_file() and not chosen:
        return folder
    found = sorted((folder / (BEST if chosen == BEST else CHECKPOINTS)).glob("step-*"))
    if not found and chosen == BEST:
        remedy = "set checkpoint.best before training, or take the latest one"
        raise ModelError(Problem(str(folder), "this run has no best checkpoint", remedy))
    if not found:
        raise ModelError(Problem(str(folder), "this run has no checkpoint yet", "was it stopped before it saved one?"))
    return _newest_sound(found, training, note or _warn)


def _newest_sound(found: Sequence[Path], training: bool, note: Callable[[str], None]) -> Path:
    """Return the newest of some checkpoints whose files are what was written, and name those passed over."""
    problems: list[Problem] = []
    for path in reversed(found):
        try:
            for file in (CONFIG, GENERATOR, *([TRAINING] if training else [])):
                verify(path / file)
            read_state(path)
        except ModelError as error:
            problems += error.problems
            continue
        if problems:
            note(f"{'; '.join(f'{problem.path} {problem.cause}' for problem in problems)}: {path} is used instead")
        return path
    raise ModelError(problems)


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)


def run_of(checkpoint: Path) -> Path | None:
    """Return the folder of the run that a checkpoint is of; None for a model that was imported."""
    folder = checkpoint.parent.parent
    named = checkpoint.parent.name in (CHECKPOINTS, BEST)
    return folder if named and (folder / CONFIG).is_file() else None


def latest_begun(name: str, *parents: Path) -> Path | None:
    """Return the folder of a run's latest beginning that has left a checkpoint; that of the first folder that has one.

    Args:
        name: The run's name, to which later beginnings have added a number.
        *parents: Folders of runs.
    """
    named = re.compile(rf"{re.escape(name)}(?:-(\d+))?")
    for parent in parents:
        paths = parent.iterdir() if parent.is_dir() else ()
        found = [(int(match[1] or 1), path) for path in paths if (match := named.fullmatch(path.name))]
        kept = [path for _, path in sorted(found) if checkpoints(path / CHECKPOINTS)]
        if kept:
            return kept[-1]
    return None
