"""From what a user writes to the folders of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.find import find_run, run_folders
from p2pkit.engine.storage.layout import CONFIG
from p2pkit.errors import ModelError, P2pkitError, Problem

RUNS = Path("runs")


def find_runs(names: Sequence[str], parent: Path = RUNS) -> list[Path]:
    """Find runs, all problems at once.

    Args:
        names: Folders, names or MLflow's ids of runs; the folder or name of a sweep stands for all of its runs.
        parent: The folder that holds runs.

    Raises:
        ModelError: Names lead nowhere.
    """
    found: list[Path] = []
    problems: list[Problem] = []
    for name in names:
        within = [folder for base in (Path(name), parent / name) for folder in _runs_in(base)]
        try:
            found += within or [find_run(name, parent)]
        except ModelError as error:
            problems += error.problems
    if problems:
        raise ModelError(problems)
    return _once(found)


def _once(folders: Iterable[Path]) -> list[Path]:
    """Leave out folders that stand there twice; the first way of writing one stays."""
    found: dict[Path, Path] = {}
    for folder in folders:
        found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _runs_in(folder: Path) -> list[Path]:
    """Return the runs of a sweep's folder."""
    return [] if (folder / CONFIG).is_file() else [config.parent for config in sorted(folder.glob(f"*/{CONFIG}"))]


def runs_of_experiment(experiment: str, parent: Path = RUNS) -> tuple[list[Path], int]:
    """Find all runs of a tracking experiment: those in the folder of runs, and those MLflow knows of.

    Args:
        experiment: The experiment's name.
        parent: The folder that holds runs.

    Returns:
        Their folders, and how many more runs MLflow has whose folders are not on this machine.

    Raises:
        ModelError: There is none.
    """
    own = [folder for folder in run_folders(parent).values() if _experiment(folder) == experiment]
    recorded = _recorded_folders(experiment)
    here = [folder for folder in recorded if (folder / CONFIG).is_file()]
    found = _once((*own, *here))
    if not found:
        known = sorted({_experiment(folder) for folder in run_folders(parent).values()})
        remedy = f"experiments in {parent}: {', '.join(known)}" if known else f"there are no runs in {parent} yet"
        raise ModelError(Problem("", f"there are no runs of an experiment {experiment!r}", remedy))
    return found, len(recorded) - len(here)


def _experiment(folder: Path) -> str:
    return str(read_config(folder)["tracking"]["experiment"])


def _recorded_folders(experiment: str) -> list[Path]:
    """Ask MLflow for the folders of an experiment's trainings; a store that is not there knows none."""
    from p2pkit.mlflow_store import addresses, client

    try:
        experiment_id = addresses(experiment).experiment_id
    except P2pkitError:
        return []
    query = "tags.`p2pkit.kind` = 'training'"
    runs = client().search_runs([experiment_id], query, order_by=["attributes.start_time ASC"])
    return [Path(run.data.tags["p2pkit.folder"]) for run in runs]
