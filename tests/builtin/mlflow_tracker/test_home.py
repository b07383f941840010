"""Which run of MLflow a training is recorded in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

import p2pkit
from p2pkit.api import TrainedRun
from p2pkit.registry import Registry

TINY: dict[str, Any] = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 8}},
    "generator": "unet_tiny",
    "losses": {"l1": 100},
    "schedule": {"steps": 1},
    "engine": {"batch": 4},
    "evaluate": {"metrics": ["l1"], "samples": 1},
    "tracking": {"name": "tiny", "system_metrics": False, "model": False},
}


def train(registry: Registry) -> TrainedRun:
    return p2pkit.train(TINY, registry=registry)


def record(outcome: TrainedRun) -> Any:
    return MlflowClient().get_run(str(outcome.mlflow_run_id))


def experiment(outcome: TrainedRun) -> str:
    return str(MlflowClient().get_experiment(record(outcome).info.experiment_id).name)


def test_variables_name_the_experiment(mlflow_here: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    assert experiment(train(registry)) == "theirs"
    mlflow.set_experiment("mine")
    assert experiment(train(registry)) == "mine"


def test_the_run_of_a_variable_is_used_once_and_then_nested_below(
    mlflow_here: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()
    given = client.create_run(client.create_experiment("theirs"), run_name="given").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    first = train(registry)
    assert first.mlflow_run_id == given
    assert record(first).info.status == "FINISHED"
    second = record(train(registry))
    assert second.info.run_id != given
    assert second.data.tags["mlflow.parentRunId"] == given
    assert second.info.experiment_id == record(first).info.experiment_id


def test_a_variable_that_names_no_run(mlflow_here: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(p2pkit.PluginError, match="has no run 0000"):
        train(registry)


def test_a_second_training_and_an_evaluation_within_an_active_run_are_nested(
    mlflow_here: Path, registry: Registry
) -> None:
    with mlflow.start_run() as mine:
        assert train(registry).mlflow_run_id == mine.info.run_id
        second = train(registry)
        p2pkit.evaluate(second.folder, registry=registry)
    below = f"tags.`mlflow.parentRunId` = '{mine.info.run_id}'"
    nested = MlflowClient().search_runs([mine.info.experiment_id], below, order_by=["attributes.start_time ASC"])
    assert [run.data.tags["p2pkit.kind"] for run in nested] == ["training", "evaluation"]
    assert nested[0].info.run_id == second.mlflow_run_id
    assert {run.info.status for run in nested} == {"FINISHED"}
