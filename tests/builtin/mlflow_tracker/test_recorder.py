"""The life of a record: begun, gone on with, shared with the caller, ended."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

import p2pkit
from p2pkit.api import resume
from p2pkit.builtin.mlflow_tracker import recorder
from p2pkit.builtin.mlflow_tracker.replay import replay
from p2pkit.registry import Registry


def test_a_resumed_run_goes_on_in_the_same_record(
    run_of: Any, mlflow_here: Path, registry: Registry, train: Any
) -> None:
    first = train(**{"schedule.epochs": 1})
    before = run_of(first.folder)
    resume(first.folder, registry=registry, **{"schedule.epochs": 2})
    after = run_of(first.folder)
    history = MlflowClient().get_metric_history(before.info.run_id, "train/generator/l1")
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    assert [metric.step for metric in history] == [1, 2, 3, 4]
    assert after.data.params["schedule.epochs"] == "1"
    assert after.data.tags["p2pkit.changed.schedule.epochs"] == "2"
    assert len(MlflowClient().search_runs([before.info.experiment_id])) == 1


def test_the_best_checkpoint_is_tagged_and_becomes_the_model(
    run_of: Any, mlflow_here: Path, registry: Registry, train: Any
) -> None:
    wanted = {"checkpoint.best": "l1", "optimizers.generator.lr": 0.05, "schedule.epochs": 3}
    run = train(**wanted)
    assert run.best is not None
    best = f"{int(run.best.name.removeprefix('step-'))}"
    tags = run_of(run.folder).data.tags
    assert (tags["p2pkit.best_step"], tags["p2pkit.best_checkpoint"]) == (best, str(run.best))
    assert tags["p2pkit.ended"] == "all 6 steps are done"
    resumed = resume(run.folder, registry=registry, **{"schedule.epochs": 4, "optimizers.generator.lr": 1e3})
    assert resumed.best == run.best
    record = run_of(run.folder)
    model = MlflowClient().get_logged_model(record.data.tags["p2pkit.model"].removeprefix("models:/"))
    assert model.tags["p2pkit.step"] == best
    assert [output.step for output in record.outputs.model_outputs if output.model_id == model.model_id] == [int(best)]


def test_an_active_run_of_the_callers_is_used_and_left_open(run_of: Any, mlflow_here: Path, train: Any) -> None:
    mlflow.set_experiment("mine")
    with mlflow.start_run(run_name="mine") as mine:
        outcome = train()
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == mine.info.run_id
        assert run_of(outcome.folder).info.status == "RUNNING"
        mlflow.log_metric("after", 1.0)
    run = run_of(outcome.folder)
    assert run.info.run_id == mine.info.run_id
    assert run.info.run_name == "mine"
    assert {"after", "val/l1"} <= set(run.data.metrics)
    assert MlflowClient().get_experiment_by_name("p2pkit") is None


def test_what_the_caller_has_set_stays(mlflow_here: Path, train: Any) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{mlflow_here}/mlflow.db")
    experiment = mlflow.set_experiment("mine")
    train()
    assert mlflow.get_tracking_uri() == f"sqlite:///{mlflow_here}/mlflow.db"
    assert mlflow.active_run() is None
    with mlflow.start_run() as run:
        assert run.info.experiment_id == experiment.experiment_id


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("out of\nmemory"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_an_error_ends_the_run_so(
    run_of: Any,
    mlflow_here: Path,
    train: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("p2pkit.engine.training.loop.Loop._evaluate", fail)
    with pytest.raises(type(error)):
        train()
    run = run_of(mlflow_here / "runs" / "tiny")
    assert run.info.status == status
    assert run.data.tags["p2pkit.error"].startswith(type(error).__name__)
    assert "memory" not in run.data.tags["p2pkit.error"]
    assert run.outputs.model_outputs == []


def test_an_evaluation_names_the_training(run_of: Any, mlflow_here: Path, registry: Registry, train: Any) -> None:
    outcome = train(**{"tracking.model": False})
    scored = p2pkit.evaluate(outcome.folder, registry=registry)
    training, evaluation = run_of(outcome.folder), run_of(scored.folder)
    assert evaluation.info.run_id != training.info.run_id
    assert evaluation.data.tags["p2pkit.evaluates"] == training.info.run_id
    assert evaluation.data.tags["p2pkit.kind"] == "evaluation"
    history = MlflowClient().get_metric_history(evaluation.info.run_id, "val/l1")
    assert [metric.step for metric in history] == [4]
    assert training.outputs.model_outputs == []


def test_a_run_is_found_by_its_id_in_mlflow(run_of: Any, mlflow_here: Path, registry: Registry, train: Any) -> None:
    outcome = train(**{"tracking.model": False})
    run_id = run_of(outcome.folder).info.run_id
    image = np.zeros((16, 16, 3), np.uint8)
    assert p2pkit.load(run_id, registry=registry).translate(image).shape == image.shape


def test_nothing_is_made_before_a_run_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(p2pkit.ConfigError):
        train(generator={"use": "unet", "params": {"depth": 9}})
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_fails_ends_its_run(
    run_of: Any, mlflow_here: Path, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(recorder.Recorder, "log_samples", fail)
    with pytest.warns(RuntimeWarning, match=r"tracker mlflow failed in its evaluated\(\): OSError: disk full"):
        outcome = train()
    assert outcome.step == 4
    assert run_of(outcome.folder).info.status == "FAILED"


def test_system_metrics_are_watched_for_as_long_as_the_run_lasts(
    mlflow_here: Path, tiny_run: p2pkit.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    recording = recorder.Recorder.begin(replace(tiny_run, folder=tmp_path))
    monitor = recording._monitor
    assert monitor is not None
    while monitor._logging_step < 2:
        assert monitor._process.is_alive()
    recording.finish(None)
    metrics = MlflowClient().get_run(recording.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in metrics


@pytest.mark.usefixtures("mlflow_here")
def test_what_targets_score_is_logged_once(tiny_run: p2pkit.Run, tmp_path: Path) -> None:
    recording = recorder.Recorder.begin(replace(tiny_run, folder=tmp_path))
    for step, value in ((0, 0.2), (3, 0.3)):
        report = p2pkit.Report("val", 8, {"fcn/iou": value}, ground_truth={"fcn/iou": 0.5})
        recording.log_report(step, report)
    recording.finish(None)
    history = MlflowClient().get_metric_history
    assert [(m.step, m.value) for m in history(recording.run_id, "val/fcn/iou")] == [(0, 0.2), (3, 0.3)]
    assert [(m.step, m.value) for m in history(recording.run_id, "val/baseline_target/fcn/iou")] == [(0, 0.5)]


@pytest.mark.usefixtures("mlflow_here")
def test_the_phase_is_a_curve_and_a_tag(tiny_run: p2pkit.Run, tmp_path: Path) -> None:
    recording = recorder.Recorder.begin(replace(tiny_run, folder=tmp_path))
    for step, phase in ((1, 1.0), (2, 1.0), (3, 2.0)):
        recording.log_metrics(step, {"train/phase": phase})
    recording.finish(None)
    history = MlflowClient().get_metric_history(recording.run_id, "train/phase")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1), (2, 1), (3, 2)]
    assert MlflowClient().get_run(recording.run_id).data.tags["p2pkit.phase"] == "2"


def test_many_and_long_parameters_are_logged(mlflow_here: Path, tiny_run: p2pkit.Run, tmp_path: Path) -> None:
    many = {f"key{index:03}": index for index in range(2 * MAX_PARAMS_TAGS_PER_BATCH + 1)}
    config = {**tiny_run.config, "many": many, "long": "x" * (MAX_PARAM_VAL_LENGTH + 1)}
    recording = recorder.Recorder.begin(replace(tiny_run, config=config, folder=tmp_path))
    recording.finish(None)
    params = MlflowClient().get_run(recording.run_id).data.params
    assert {params[f"many.{key}"] for key in many} == {str(value) for value in many.values()}
    assert len(params["long"]) == MAX_PARAM_VAL_LENGTH
    assert params["long"].endswith("x...")


def test_a_run_that_goes_back_says_so(run_of: Any, mlflow_here: Path, train: Any, registry: Any) -> None:
    outcome = train(**{"checkpoint.every": 1, "checkpoint.keep": 5})
    assert "p2pkit.went_back_to" not in run_of(outcome.folder).data.tags
    p2pkit.resume(outcome.folder / "checkpoints" / "step-00000002", registry=registry)
    assert run_of(outcome.folder).data.tags["p2pkit.went_back_to"] == "2"


def test_the_best_checkpoint_of_an_abandoned_future_is_not_the_best(
    run_of: Any, mlflow_here: Path, train: Any, registry: Any
) -> None:
    kept = {"checkpoint.every": 1, "checkpoint.keep": 5, "checkpoint.best": "l1", "tracking.portable": False}
    outcome = train(**kept)
    assert run_of(outcome.folder).data.tags["p2pkit.best_step"] == "4"
    worse = {"optimizers.generator.lr": 1e3, "tracking.model": False}
    p2pkit.resume(outcome.folder / "checkpoints" / "step-00000002", registry=registry, **worse)
    tags = run_of(outcome.folder).data.tags
    best = [path.name for path in (outcome.folder / "best").glob("step-*")]
    assert [f"step-{int(step):08d}" for key, step in tags.items() if key == "p2pkit.best_step"] == best


def test_a_copied_project_sends_to_its_own_database(
    mlflow_here: Path, tiny_run: p2pkit.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = mlflow_here / "project"
    folder = project / "runs" / "tiny"
    folder.mkdir(parents=True)
    shutil.copy2("mlflow.db", project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    recording = recorder.Recorder.begin(replace(tiny_run, folder=folder))
    recording.finish(None)
    recording.journal.append({"tags": {"late": "1"}})
    shutil.copytree(project, mlflow_here / "copy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "sent 1 entries" in str(replay(mlflow_here / "copy" / "runs"))

    def tags(where: str) -> dict[str, str]:
        client = MlflowClient(tracking_uri=f"sqlite:///{mlflow_here / where}/mlflow.db")
        return dict(client.get_run(recording.run_id).data.tags)

    assert "late" in tags("copy")
    assert "late" not in tags("project")
