"""A run's model in MLflow's registry, and which version is the champion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from p2pkit import PluginError, Problem, first_line
from p2pkit.untyped import Json, Plain

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
_MODEL = "p2pkit.model"
_SAME = ("metric", "higher", "protocol", "data", "digest")
"""What has to be equal where scores are compared."""


def check_registry(client: MlflowClient, name: str) -> None:
    """Make sure before training that a model can be registered.

    Raises:
        PluginError: The store has no registry, or the name belongs to something else.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.search_registered_models(filter_string=f"name = '{name}'", max_results=1)
    except (MlflowException, NotImplementedError) as error:
        cause = f"the store keeps no registry of models: {first_line(error)}"
        remedy = "record in a database or on a server, or leave tracking.register out"
        raise PluginError(Problem("tracking.register", cause, remedy)) from error


def register(client: MlflowClient, run_id: str, model_id: str, wanted: Plain) -> str:
    """Register a model, and move the alias to it if it is better than what the alias points at; once, if told twice.

    Args:
        client: A client of the store.
        run_id: The run's id.
        model_id: The model's id.
        wanted: The name, and by what the model is compared: metric, value, direction, protocol and data.

    Returns:
        What came of it, in a sentence.
    """
    name = wanted["name"]
    tags = _tags(wanted)
    version = _version(client, run_id, model_id, name, tags)
    _link(client, model_id, name, str(version.version))
    said = f"registered as {name}, version {version.version}"
    if "value" not in wanted:
        return f"{said}, without a score that says whether it is better"
    champion = _champion(client, name)
    if champion is not None and champion.version == version.version:
        return f"{said}, which is the {CHAMPION}"
    score = f"{wanted['metric']} {wanted['value']:.4g}"
    if champion is None:
        client.set_registered_model_alias(name, CHAMPION, version.version)
        return f"{said}, the first {CHAMPION}: {score}"
    stays = f"the {CHAMPION} stays version {champion.version}"
    if any(champion.tags.get(f"p2pkit.{key}") != tags[f"p2pkit.{key}"] for key in _SAME):
        return f"{said}; {stays}, which was measured in another way or not at all"
    before = float(champion.tags["p2pkit.value"])
    if wanted["value"] > before if wanted["higher"] else wanted["value"] < before:
        client.set_registered_model_alias(name, CHAMPION, version.version)
        return f"{said}, the new {CHAMPION}: {score} is better than {before:.4g} of version {champion.version}"
    return f"{said}; {stays}: {score} is no better than {before:.4g}"


def _tags(wanted: Plain) -> dict[str, str]:
    if "value" not in wanted:
        return {}
    data, digest = wanted["data"]
    known: dict[str, Json] = {**wanted, "data": data, "digest": digest}
    return {f"p2pkit.{key}": str(known[key]) for key in (*_SAME, "value")}


def _version(client: MlflowClient, run_id: str, model_id: str, name: str, tags: dict[str, str]) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for found in client.search_model_versions(f"name = '{name}'"):
        if found.tags.get(_MODEL) == model_id:
            return found
    own = {**tags, _MODEL: model_id}  # by which it is found again: the store's own field for it is not always filled
    return client.create_model_version(name, f"models:/{model_id}", run_id, tags=own, model_id=model_id)


def _link(client: MlflowClient, model_id: str, name: str, version: str) -> None:
    """Let the model know its version, as `mlflow.register_model` does: by this tag MLflow's pages show it."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    known = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    if (name, version) not in [(each["name"], str(each["version"])) for each in known]:
        own = {"name": name, "version": version}
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*known, own])})


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
