"""From what a user writes to folders."""

from __future__ import annotations

import pytest

from p2pkit import ModelError
from p2pkit.compare import find_runs, runs_of_experiment


@pytest.fixture
def runs(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("first", "second", "sweep/a", "sweep/b"):
        made(name, l1=0.5)
    made("other", {"tracking.experiment": "elsewhere"}, l1=0.5)
    (tmp_path / "runs" / "second" / "mlflow.id").write_text("0123abcd\n")
    return tmp_path / "runs"


def names(folders):
    return [folder.name for folder in folders]


def test_a_run_is_found_by_folder_name_or_id(runs):
    assert names(find_runs(["runs/first", "0123abcd", "sweep/b"])) == ["first", "second", "b"]
    assert names(find_runs(["first", "runs/first", str(runs / "first")])) == ["first"]


def test_a_sweep_stands_for_its_runs(runs):
    assert names(find_runs(["sweep"])) == names(find_runs(["runs/sweep"])) == ["a", "b"]


def test_all_names_that_lead_nowhere_are_named(runs):
    with pytest.raises(ModelError) as failed:
        find_runs(["firts", "second", "gone"])
    assert ["'firts'" in str(failed.value.problems[0]), "'gone'" in str(failed.value.problems[1])] == [True, True]
    assert "first" in failed.value.problems[0].remedy


def test_an_experiment_s_runs_are_found_without_a_store(runs):
    folders, elsewhere = runs_of_experiment("weights")
    assert names(folders) == ["first", "second", "a", "b"]
    assert elsewhere == 0
    with pytest.raises(ModelError, match=r"no runs of an experiment 'none'\n.*elsewhere, weights"):
        runs_of_experiment("none")


def test_mlflow_knows_runs_of_other_folders(runs, made, mlflow_here):
    from mlflow import MlflowClient

    away = made("../away/run", l1=0.5)
    client = MlflowClient()
    experiment = client.create_experiment("weights")
    for folder in (away, runs / "gone", runs / "first"):
        client.create_run(experiment, tags={"p2pkit.kind": "training", "p2pkit.folder": str(folder)})
    client.create_run(experiment, tags={"p2pkit.kind": "evaluation", "p2pkit.folder": str(runs / "first" / "e")})
    folders, elsewhere = runs_of_experiment("weights")
    assert names(folders) == ["first", "second", "a", "b", "run"]
    assert elsewhere == 1
