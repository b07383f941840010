"""The page of MLflow's interface that is of most use for some runs."""

from __future__ import annotations

import re
import shlex
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from p2pkit.errors import ModelError, P2pkitError, Problem

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
from p2pkit.mlflow_store import RUN_ID_FILE, SWEEP_TAG, addresses, client, is_server, tracking_uri

VIEW = "p2pkit"


def page(runs: Sequence[str] = (), experiment: str | None = None, *, base: str | None = None) -> str:
    """Return the address of the page that is of most use, having saved the view that it shows; as `pages` does."""
    return pages(runs, experiment, base=base)[0]


def pages(runs: Sequence[str] = (), experiment: str | None = None, *, base: str | None = None) -> tuple[str, str]:
    """Return the addresses of the pages that are of most use, having saved the views that they show.

    Args:
        runs: Runs, or a sweep for all of its, as for `p2pkit compare`; MLflow's ids of runs elsewhere count too.
        experiment: Without runs, the experiment; by default the one with the latest run.
        base: The server's address, as for `addresses`.

    Returns:
        Charts in which the runs are seen by what differs between them, with their samples and scores; and the same
        with one mean for each point, empty where no point has several seeds.

    Raises:
        ModelError: There are no such runs, or they lie in several experiments.
    """
    from p2pkit.mlflow_ui.views import TRAININGS, save_view

    store = client()
    if not runs:
        found, key, search = addresses(experiment, base=base), VIEW, TRAININGS
    else:
        recorded = _recorded(store, runs)
        experiments = sorted({store.get_experiment(run.info.experiment_id).name for run in recorded})
        if len(experiments) > 1:
            cause = f"these runs lie in several experiments, and MLflow shows one at a time: {', '.join(experiments)}"
            raise ModelError(Problem("", cause, "p2pkit compare shows them side by side"))
        ids = sorted(run.info.run_id for run in recorded)
        key = f"{VIEW}-{zlib.crc32(' '.join(ids).encode()):08x}"
        found, search = addresses(experiments[0], base=base), _search(store, recorded)
    if not save_view(store, found.experiment_id, key, search):
        return found.view(key), ""
    save_view(store, found.experiment_id, f"{key}-means", search, means=True)
    return found.view(key), found.view(f"{key}-means")


def _recorded(store: MlflowClient, names: Sequence[str]) -> list[Run]:
    """Return MLflow's records of runs, all problems at once."""
    from mlflow.exceptions import MlflowException

    from p2pkit.compare.find import find_runs

    ids: list[str] = []
    problems: list[Problem] = []
    for name in names:
        if re.fullmatch("[0-9a-f]{32}", name):
            ids.append(name)
            continue
        try:
            notes = [(folder, folder / RUN_ID_FILE) for folder in find_runs([name])]
        except ModelError as error:
            problems += error.problems
            continue
        problems += [Problem(str(folder), "is not recorded in MLflow") for folder, note in notes if not note.is_file()]
        ids += [note.read_text(encoding="utf-8").strip() for _, note in notes if note.is_file()]
    found = []
    for run_id in dict.fromkeys(ids):
        try:
            found.append(store.get_run(run_id))
        except MlflowException:
            problems.append(Problem("", f"MLflow's store {tracking_uri()} has no run {run_id}"))
    if problems:
        raise ModelError(problems)
    return found


def _search(store: MlflowClient, runs: Sequence[Run]) -> str:
    """Say which runs in MLflow's search language; a whole sweep by its tag, so that runs yet to come are seen too."""
    sweeps = {run.data.tags.get(SWEEP_TAG) for run in runs}
    if len(sweeps) == 1 and None not in sweeps:
        tagged = f"tags.`{SWEEP_TAG}` = '{sweeps.pop()}' AND tags.`p2pkit.kind` = 'training'"
        if len(store.search_runs([runs[0].info.experiment_id], tagged)) == len(runs):
            return tagged
    return f"attributes.run_id IN ({', '.join(sorted(repr(run.info.run_id) for run in runs))})"


def way_to(names: Sequence[str], folders: Sequence[Path]) -> str | None:
    """Say how to see runs: the address, where the store is a server, else the command that opens it.

    Args:
        names: Runs as `p2pkit ui` takes them; none for the experiment with the latest run.
        folders: Their folders.

    Returns:
        One line; None where MLflow has no part in these runs.
    """
    if not any(next(folder.glob(f"**/{RUN_ID_FILE}"), None) for folder in folders):
        return None
    if is_server(tracking_uri()):
        with suppress(P2pkitError):
            return page(names)
    return shlex.join(["p2pkit", "ui", *names])
