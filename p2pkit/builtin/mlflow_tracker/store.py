"""MLflow's store: whether it answers, for how long it is waited for, its limits, and where an experiment's files go."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from p2pkit import PluginError, Problem
from p2pkit.mlflow_store import FILES, database_file, is_server
from p2pkit.passwords import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

_UNSET = "start it, or unset MLFLOW_TRACKING_URI to record runs in this folder"
_HEALTH_TIMEOUT = 5.0
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # who sends tries again by itself
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_changing = threading.Lock()
_limited: list[list[str]] = []
"""For each that wants the limits, the variables that were set for it: those of the first are unset by the last."""


@contextmanager
def limited() -> Iterator[None]:
    """Let MLflow's client give up soon and print no addresses; what the user has set stays.

    Its environment is the only way to tell it, so threads that want this at once share one change.
    """
    with _changing:
        _limited.append([name for name in _LIMITS if name not in os.environ])
        os.environ.update({name: _LIMITS[name] for name in _limited[-1]})
    try:
        yield
    finally:
        with _changing:
            if len(_limited) == 1:
                for name in _limited[0]:
                    os.environ.pop(name, None)
            del _limited[-1]


@contextmanager
def hushed() -> Iterator[None]:
    """Keep MLflow's log lines of this thread off the user's screen; what is wrong is told in our own words."""
    here = threading.get_ident()

    def others(record: logging.LogRecord) -> bool:
        return record.thread != here

    handlers = list(logging.getLogger("mlflow").handlers)
    for handler in handlers:
        handler.addFilter(others)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(others)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's and its database tool's progress notes off the user's screen; warnings still come through."""
    import mlflow  # noqa: F401  its import sets the level that is changed here

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.level, logging.WARNING))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def check_reachable(uri: str) -> None:
    """Ask a server whether it is well, within seconds; MLflow itself would try for minutes.

    Raises:
        PluginError: Nothing answers, or something else than MLflow.
    """
    if re.match(r"[\w.-]+:\d+(/|$)", uri):
        raise PluginError(Problem("MLFLOW_TRACKING_URI", f"{uri} is no address", f"write http://{uri}"))
    if (why := _why_unwell(uri, _HEALTH_TIMEOUT)) is not None:
        raise PluginError(Problem("MLFLOW_TRACKING_URI", *why))


def answers(uri: str) -> bool:
    """Whether a server is well, or the store is none."""
    return _why_unwell(uri, _HEALTH_TIMEOUT / 2) is None


def _why_unwell(uri: str, timeout: float) -> tuple[str, str] | None:
    """Return what is wrong with a server, and what to do about it."""
    if not is_server(uri):
        return None
    shown = without_password(uri)
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    options = {"max_retries": 0, "timeout": timeout, "raise_on_status": False}
    try:
        answer = http_request(get_default_host_creds(uri), "/health", "GET", **options)
    except Exception as error:
        text = str(error).partition("\n")[0]
        known = {"timed out": f"nothing comes within {timeout:g} s", "refused": "the connection is refused"}
        cause = next((plain for sign, plain in known.items() if sign in text), text)
        return f"no MLflow server answers at {shown}: {cause}", _UNSET
    if answer.status_code in (401, 403):
        return (
            f"{shown} wants to know who asks",
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    if answer.status_code >= 500:
        return f"{shown} answers with {answer.status_code} {answer.reason}", _UNSET
    if answer.ok and "<html" in answer.text.lower():
        return (
            f"what answers at {shown} is a web page and no MLflow server",
            "mend or unset MLFLOW_TRACKING_URI",
        )
    return None


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
    return (database.parent / FILES / folder).as_uri()


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


def fitting_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Cut tags to what MLflow stores."""
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, MAX_TAG_VAL_LENGTH

    return {key[:MAX_ENTITY_KEY_LENGTH]: _cut(value, MAX_TAG_VAL_LENGTH) for key, value in tags.items()}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
