"""MLflow's store: whether it answers, its limits, and where an experiment's files go."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from p2pkit import PluginError, Problem
from p2pkit.mlflow_store import database_file, is_server

if TYPE_CHECKING:
    from mlflow import MlflowClient


def check_reachable(uri: str) -> None:
    """Ask a server for a connection at once; MLflow itself would try for minutes.

    Raises:
        PluginError: Nothing answers.
    """
    if not is_server(uri):
        return
    parts = urlsplit(uri)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=10).close()
    except OSError as error:
        cause = f"no MLflow server answers at {uri}: {error}"
        remedy = "start it, or unset MLFLOW_TRACKING_URI to record runs in this folder"
        raise PluginError(Problem("MLFLOW_TRACKING_URI", cause, remedy)) from None


def artifact_location(uri: str, experiment: str) -> str | None:
    """Return where a new experiment's files go: beside an SQLite database; where the store decides, None.

    Left to itself, MLflow puts them into whatever folder a process works in when it first opens the database.

    Args:
        uri: Address of the store.
        experiment: The experiment's name.
    """
    database = database_file(uri)
    if database is None:
        return None
    folder = "".join(c if c.isalnum() or c in "_-." else "_" for c in experiment).strip(".") or "experiment"
    return (database.parent / "mlruns" / folder).as_uri()


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """Return the experiment's id, having made it if it is not there.

    Raises:
        PluginError: The experiment was deleted.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            created: str = client.create_experiment(name, artifact_location=artifact_location(uri, name))
            return created
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # two runs may begin at once
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        remedy = f"choose another name, or run mlflow experiments restore -x {found.experiment_id}"
        raise PluginError(Problem("tracking.experiment", f"experiment {name!r} was deleted in MLflow", remedy))
    existing: str = found.experiment_id
    return existing


def fitting_params(params: Mapping[str, str]) -> dict[str, str]:
    """Cut parameters to what MLflow stores; the artifact run.yaml has them whole."""
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, MAX_PARAM_VAL_LENGTH

    return {key[:MAX_ENTITY_KEY_LENGTH]: _cut(value, MAX_PARAM_VAL_LENGTH) for key, value in params.items()}


def log(client: MlflowClient, run_id: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Log parameters and tags, in as many requests as MLflow's limit asks for.

    Args:
        client: A client of the store.
        run_id: The run's id in MLflow.
        params: Parameters, short enough for MLflow.
        tags: Tags; long ones are cut.
    """
    from mlflow.entities import Param, RunTag
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, MAX_PARAMS_TAGS_PER_BATCH, MAX_TAG_VAL_LENGTH

    size = MAX_PARAMS_TAGS_PER_BATCH
    all_params = [Param(key, value) for key, value in params.items()]
    all_tags = [RunTag(key[:MAX_ENTITY_KEY_LENGTH], _cut(value, MAX_TAG_VAL_LENGTH)) for key, value in tags.items()]
    for start in range(0, max(len(all_params), len(all_tags)), size):
        client.log_batch(run_id, params=all_params[start : start + size], tags=all_tags[start : start + size])


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
