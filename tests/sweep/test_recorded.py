"""A sweep in MLflow: an ordinary run beside those of its points, with what it comes to."""

from __future__ import annotations

import mlflow
import pytest

from p2pkit.registry import load_registry
from p2pkit.sweep import join_sweep, sweep
from p2pkit.sweep.storage import open_storage


@pytest.fixture
def recorded(tiny):
    return {**tiny, "schedule": {"epochs": 3}, "tracking": {"system_metrics": False, "model": False}}


@pytest.fixture
def runs(recorded, mlflow_here):
    """Return the runs of a sweep with one point that fails: by kind."""
    registry = load_registry(discover=False)
    points = {"good": {}, "bad": {"optimizers.generator.lr": 1e30}, "plain": {"losses.gan": 0}}
    swept = sweep({**recorded, "sweep": {"points": points}}, registry=registry, name="s")
    again = join_sweep("s", registry=registry)
    assert again == swept
    client = mlflow.MlflowClient()
    found = client.search_runs([client.get_experiment_by_name("p2pkit").experiment_id])
    return swept, {run.info.run_name: run for run in found}, client


def test_the_parent_stands_beside_its_children_and_says_what_is_best(runs):
    swept, found, client = runs
    assert set(found) == {"s", "good", "bad", "plain"}
    assert {name: run.info.status for name, run in found.items()} == {
        "s": "FINISHED",
        "good": "FINISHED",
        "bad": "FAILED",
        "plain": "FINISHED",
    }
    assert {run.data.tags["p2pkit.sweep"] for run in found.values()} == {"s"}
    assert found["good"].data.tags["p2pkit.point"] == "good"
    parent = found["s"].data
    assert parent.tags["p2pkit.kind"] == "sweep"
    assert "mlflow.parentRunId" not in found["good"].data.tags
    assert parent.tags["p2pkit.best"] == parent.params["best"] == swept.best["label"]
    assert parent.metrics["best/l1"] == swept.best["l1"]
    assert parent.metrics["runs/failed"] == 1
    assert parent.params["losses.l1.weight"] == "100"  # what all runs share
    assert "losses.gan.weight" not in parent.params
    artifacts = {file.path for file in client.list_artifacts(found["s"].info.run_id)}
    assert {"table.csv", "sheet.png", "plots", "page.html", "run.yaml"} <= artifacts
    plots = [file.path for file in client.list_artifacts(found["s"].info.run_id, "plots")]
    assert all(path.endswith(".png") for path in plots)
    assert plots


def test_within_a_run_of_the_callers_the_sweep_has_runs_of_its_own(recorded, mlflow_here):
    with mlflow.start_run() as mine:
        swept = sweep(recorded, ["losses.l1.weight=1,10"], registry=load_registry(discover=False), name="s")
    assert swept.complete
    assert mlflow.get_run(mine.info.run_id).data.params == {}
    found = mlflow.MlflowClient().search_runs(
        [mine.info.experiment_id], f"tags.`mlflow.parentRunId` = '{mine.info.run_id}'"
    )
    assert {run.info.run_name for run in found} == {"s", "l1 1", "l1 10"}


def test_who_joins_without_its_folder_speaks_of_the_same_run(recorded, mlflow_here, monkeypatch):
    registry = load_registry(discover=False)
    swept = sweep({**recorded, "schedule": {"steps": 1}}, ["losses.l1.weight=1,10"], registry=registry, name="s")
    home = swept.folder.absolute()
    (home.parent.parent / "elsewhere").mkdir()
    monkeypatch.chdir(home.parent.parent / "elsewhere")
    monkeypatch.setattr("p2pkit.sweep.work.open_storage", lambda address, folder: open_storage(None, home))
    joined = join_sweep("s", registry=registry, **{"sweep.storage": "grpc://server"})
    assert joined.folder.absolute() != home
    assert (joined.folder / "sweep.json").is_file()
    assert joined.table() == swept.table()
    assert joined.finished == [home / child.folder for child in swept.children]
    assert joined.sheet.is_file()
    client = mlflow.MlflowClient()
    found = client.search_runs([client.get_experiment_by_name("p2pkit").experiment_id])
    assert sorted(run.info.run_name for run in found) == ["l1 1", "l1 10", "s"]
