"""MLflow's store of runs: which one it is, and where its interface shows what; what `__all__` lists is public."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from filelock import FileLock

from p2pkit.errors import ModelError, Problem

if TYPE_CHECKING:
    from mlflow import MlflowClient


__all__ = ["RUN_ID_FILE", "SWEEP_TAG", "database_file", "is_server", "open_store", "sqlite_uri", "tracking_uri"]

HOST = "127.0.0.1"
PORT = 5000
RUN_ID_FILE = "mlflow.id"
"""File in a run's folder that holds its id in MLflow, by which the run is found and gone on with."""
SWEEP_TAG = "p2pkit.sweep"
"""The tag of a sweep's runs that names it."""
SQLITE = "sqlite:///"
FILES = "mlruns"
"""Folder beside a database that holds a folder of files for each experiment."""
_ADDRESSES = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))


def tracking_uri() -> str:
    """Return where runs are recorded.

    Returns:
        What MLFLOW_TRACKING_URI or `mlflow.set_tracking_uri` says, else a database in the working folder.
    """
    import mlflow

    if mlflow.is_tracking_uri_set():
        return str(mlflow.get_tracking_uri())
    return sqlite_uri(Path("mlflow.db").absolute())


def sqlite_uri(database: Path) -> str:
    """Return the address of a database's file."""
    path = str(database).replace("%", "%25")  # MLflow decodes these paths
    return f"{SQLITE}{path}"


def client() -> MlflowClient:
    """Return a client of the store.

    Raises:
        ModelError: There is no store yet.
    """
    uri = tracking_uri()
    check_exists(uri)
    return open_store(uri)


def open_store(uri: str) -> MlflowClient:
    """Return a client of a store.

    Whoever opens a database first makes its tables, so one process does at a time; and a database that was moved with
    the files beside it finds them again.

    Args:
        uri: Address of the store.
    """
    from mlflow import MlflowClient

    database = database_file(uri)
    if database is None or not os.access(database.parent, os.W_OK):
        return MlflowClient(tracking_uri=uri)
    with FileLock(database.with_name(f".{database.name}.lock")):
        opened = MlflowClient(tracking_uri=uri)
        _find_files_again(database)
    return opened


def _find_files_again(database: Path) -> None:
    """Change the absolute addresses that MLflow keeps of an experiment's files, where these were moved."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for experiment, old in connection.execute(
            "select experiment_id, artifact_location from experiments"
        ).fetchall():
            new = _moved_to(old, database.parent)
            for table, column in _ADDRESSES if new else ():
                # Both names are of this module; what comes from elsewhere is bound.
                changed = f"update {table} set {column} = ? || substr({column}, ?)"  # nosec B608
                where = f"where experiment_id = ? and substr({column}, 1, ?) = ?"
                connection.execute(f"{changed} {where}", (new, len(old) + 1, experiment, len(old), old))


def _moved_to(location: str, home: Path) -> str | None:
    """Return where files beside a database are now; None where they have not moved, or were never beside it."""
    parts = urlsplit(location)
    old = Path(unquote(parts.path) if parts.scheme else location)
    new = home / FILES / old.name
    if parts.scheme not in ("file", "") or old.parent.name != FILES or old == new:
        return None
    along = new.is_dir() and not (old.is_dir() and old.samefile(new))
    left = old.parent.parent.is_dir()
    return (new.as_uri() if parts.scheme else str(new)) if along or not left else None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Pages of MLflow's interface that are of use for p2pkit's runs.

    MLflow 3 opens experiments in a view for language models unless an address says otherwise, as these do.

    Args:
        base: The server's address.
        experiment_id: MLflow's id of the experiment.
        experiment: Its name.
    """

    base: str
    experiment_id: str
    experiment: str

    @property
    def runs(self) -> str:
        """The experiment's runs as a table."""
        return f"{self.base}/#/experiments/{self.experiment_id}/runs?workflowType=machine_learning"

    @property
    def charts(self) -> str:
        """The experiment's runs as charts and sample pictures."""
        return f"{self.runs}&compareRunsMode=CHART"

    def view(self, key: str) -> str:
        """Return the experiment's runs as charts in a saved view."""
        return f"{self.charts}&viewStateShareKey={key}"

    def run(self, run_id: str) -> str:
        """Return the page of one run."""
        return f"{self.base}/#/experiments/{self.experiment_id}/runs/{run_id}?workflowType=machine_learning"

    def compare(self, run_ids: Sequence[str]) -> str:
        """Return the page that shows runs side by side, with parallel coordinates of what differs."""
        runs, experiments = (quote(json.dumps(list(ids))) for ids in (run_ids, [self.experiment_id]))
        return f"{self.base}/#/compare-runs?runs={runs}&experiments={experiments}&workflowType=machine_learning"


def addresses(experiment: str | None = None, *, base: str | None = None) -> Addresses:
    """Find an experiment in the store, and say where the interface shows it.

    Args:
        experiment: Its name; by default the one with the latest run.
        base: The server's address; by default the store's own, where it is a server, else `p2pkit ui`'s.

    Raises:
        ModelError: Nothing is recorded yet, or there is no such experiment.
    """
    uri, store = tracking_uri(), client()
    known = {found.name: str(found.experiment_id) for found in store.search_experiments()}
    if experiment is None:
        latest = store.search_runs(list(known.values()), order_by=["attributes.start_time DESC"], max_results=1)
        if not latest:
            raise nothing_recorded(uri)
        experiment = store.get_experiment(latest[0].info.experiment_id).name
    if experiment not in known:
        names = ", ".join(sorted(known))
        raise ModelError(Problem("", f"there is no experiment {experiment!r} in {uri}", f"there are: {names}"))
    own = uri.rstrip("/") if is_server(uri) else f"http://{HOST}:{PORT}"
    return Addresses(own if base is None else base, known[experiment], experiment)


def check_exists(uri: str) -> None:
    """Raise a `ModelError` where the store is a database that is not there yet."""
    database = database_file(uri)
    if database is not None and not database.is_file():
        raise nothing_recorded(uri)


def nothing_recorded(uri: str) -> ModelError:
    """Return the error for a store without runs."""
    remedy = "train first (p2pkit demo), go to the folder you trained in, or set MLFLOW_TRACKING_URI"
    return ModelError(Problem("", f"there are no runs yet in {database_file(uri) or uri}", remedy))


def database_file(uri: str) -> Path | None:
    """Return the file of an SQLite store."""
    return Path(unquote(uri.removeprefix(SQLITE))).absolute() if uri.startswith(SQLITE) else None


def is_server(uri: str) -> bool:
    """Whether a store is reached over the network."""
    return uri.startswith(("http://", "https://"))
