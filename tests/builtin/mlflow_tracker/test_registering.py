"""Versions in MLflow's registry, and which of them is the champion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

import p2pkit
from p2pkit.api import TrainedRun
from p2pkit.builtin.mlflow_tracker.registering import check_registry, register
from p2pkit.registry import Registry

WANTED = {"name": "best one", "metric": "val/l1", "higher": False, "protocol": "aa", "data": ["shapes val", "11"]}


def model(client: MlflowClient, name: str = "m") -> str:
    return str(client.create_logged_model("0", name).model_id)


def test_the_alias_moves_to_what_is_better_on_the_same_protocol(mlflow_here: Path) -> None:
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id

    def told(value: float, **other: Any) -> str:
        return register(client, run_id, model(client), {**WANTED, "value": value, **other})

    def champion() -> str:
        return str(client.get_model_version_by_alias("best one", "champion").version)

    assert told(0.5) == "registered as best one, version 1, the first champion: val/l1 0.5"
    assert "stays version 1: val/l1 0.6 is no better than 0.5" in told(0.6)
    assert told(0.4).endswith("the new champion: val/l1 0.4 is better than 0.5 of version 1")
    for other in ({"protocol": "bb"}, {"data": ["shapes val", "22"]}, {"metric": "val/psnr", "higher": True}):
        assert "stays version 3, which was measured in another way" in told(0.1, **other)
    assert champion() == "3"
    assert "without a score" in register(client, run_id, model(client), {"name": "best one"})
    again = model(client)
    first, second = (register(client, run_id, again, {**WANTED, "value": 0.3}) for _ in range(2))
    assert (first.partition(",")[0], champion()) == ("registered as best one", "8")
    assert second == "registered as best one, version 8, which is the champion"
    seen = client.get_logged_model(again).tags["mlflow.modelVersions"]  # by which MLflow's pages find it
    assert json.loads(seen) == [{"name": "best one", "version": "8"}]


def test_a_training_registers_its_best_model(trained: TrainedRun) -> None:
    version = MlflowClient().get_model_version_by_alias("tiny", "champion")
    assert version.run_id == trained.mlflow_run_id
    assert version.tags["p2pkit.metric"] == "val/psnr"
    images = np.zeros((1, 16, 16, 3), np.uint8)
    fakes = mlflow.pyfunc.load_model("models:/tiny@champion").predict(images)
    assert np.array_equal(fakes, p2pkit.load(trained.best or "").translate(images))


@pytest.mark.parametrize("name", ["a/b", "a:b", "..", "", "it's"])
def test_a_name_that_the_registry_refuses_is_found_before_training(
    name: str, tiny: dict[str, Any], quiet: Registry
) -> None:
    with pytest.raises(p2pkit.ConfigError, match=r"tracking\.register"):
        p2pkit.check({**tiny, "tracking": {"register": name}}, registry=quiet)


def test_what_keeps_a_model_from_being_registered_is_found_before_training(
    tiny: dict[str, Any], quiet: Registry
) -> None:
    with pytest.raises(p2pkit.ConfigError, match="no model is recorded"):
        p2pkit.check({**tiny, "tracking": {"register": "a", "model": False}}, registry=quiet)

    class NoRegistry:
        def search_registered_models(self, **_: Any) -> None:
            raise MlflowException("Model Registry features are not supported by the store")

    store: Any = NoRegistry()
    with pytest.raises(p2pkit.PluginError, match="keeps no registry of models"):
        check_registry(store, "a")
