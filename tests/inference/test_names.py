"""Models that lie elsewhere."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR

from p2pkit import ModelError
from p2pkit.inference import names
from p2pkit.inference.names import fetch_model
from p2pkit.programs.exported import is_exported


@pytest.fixture
def model(tmp_path):
    """An MLflow model's folder with a checkpoint in it."""
    checkpoint = tmp_path / "model/data/checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    (tmp_path / "model/MLmodel").write_text("")
    return tmp_path / "model"


def test_a_run_or_a_checkpoint_is_what_it_was(tmp_path):
    assert fetch_model("facades-1@best") == "facades-1@best"
    assert fetch_model(tmp_path) == tmp_path


@pytest.mark.parametrize("name", ["a" * 5000, "a/" * 3000, "\0", "\udc80"])
def test_a_name_that_no_system_takes_is_left_to_who_looks_for_runs(name):
    assert fetch_model(name) == name
    assert not is_exported(Path(name))


def test_an_mlflow_models_folder_has_the_checkpoint_in_it(model):
    assert fetch_model(model) == model / "data/checkpoint"


@pytest.mark.parametrize("name", ["runs:/0123/demo-step-400", "models:/facades@champion"])
def test_mlflows_names_are_fetched(model, monkeypatch, name):
    asked = []

    def download(artifact_uri, tracking_uri):
        asked.append(artifact_uri)
        return str(model)

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    assert fetch_model(name) == model / "data/checkpoint"
    assert asked == [name]


@pytest.mark.parametrize("asked", [None, "true"])
def test_mlflow_draws_its_bars_only_for_who_has_asked_for_them(model, monkeypatch, asked):
    bars = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
    monkeypatch.setenv(bars, asked) if asked else monkeypatch.delenv(bars, raising=False)
    seen = []

    def download(**given):
        seen.append(MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.get())
        return str(model)

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    fetch_model("models:/facades@champion")
    assert seen == [bool(asked)]
    assert os.environ.get(bars) == asked


def test_what_can_not_be_fetched_says_why(model, monkeypatch):
    def download(**given):
        raise RuntimeError("no such alias\nand more")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    with pytest.raises(ModelError, match="does not give it: no such alias"):
        fetch_model("models:/a@b")
    (model / "data/checkpoint/state.json").unlink()
    with pytest.raises(ModelError, match="is no model of p2pkit"):
        fetch_model(model)


def test_a_model_may_note_where_its_checkpoint_lies(model, tmp_path):
    (model / "data/checkpoint").rename(tmp_path / "elsewhere")
    (model / "data/where.json").write_text(json.dumps({"checkpoint": str(tmp_path / "elsewhere")}))
    assert fetch_model(model) == tmp_path / "elsewhere"


def test_the_hub_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install 'p2pkit\[hub\]'"):
        fetch_model(f"{names._HUB}someone/facades")
