"""A database of MLflow that was moved has its files beside it again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from p2pkit.mlflow_store import open_store


def project(folder: Path, new_store: Path) -> str:
    """Make a database with one experiment and one run whose files lie beside it; return the run's id."""
    (folder / "mlruns" / "mine").mkdir(parents=True)
    shutil.copy2(new_store, folder / "mlflow.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("mine", artifact_location=(folder / "mlruns" / "mine").as_uri())
    return str(client.create_run(experiment).info.run_id)


@pytest.mark.parametrize("copied", [False, True])
def test_files_are_found_beside_a_moved_database(tmp_path: Path, mlflow_here: Path, copied: bool) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    run_id = project(old, mlflow_here / "mlflow.db")
    shutil.copytree(old, new) if copied else old.rename(new)
    client = open_store(f"sqlite:///{new}/mlflow.db")
    home = (new / "mlruns" / "mine").as_uri()
    assert client.get_experiment_by_name("mine").artifact_location == home
    assert client.get_run(run_id).info.artifact_uri == f"{home}/{run_id}/artifacts"


def test_files_that_lie_elsewhere_on_purpose_stay_there(tmp_path: Path, mlflow_here: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    run_id = project(old, mlflow_here / "mlflow.db")
    new.mkdir()
    (old / "mlflow.db").rename(new / "mlflow.db")
    found = open_store(f"sqlite:///{new}/mlflow.db").get_run(run_id).info.artifact_uri
    assert found.startswith((old / "mlruns").as_uri())
