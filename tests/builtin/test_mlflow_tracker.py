"""Runs as MLflow has them: real, tiny trainings against a real store."""

from __future__ import annotations

import json
import math
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
import yaml
from mlflow import MlflowClient
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH
from PIL import Image
from torch import nn

import p2pkit
from p2pkit.api import TrainedRun, resume
from p2pkit.builtin import mlflow_tracker
from p2pkit.builtin.mlflow_tracker import inputs, model, parameters, recorder, store
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.registry import Registry

TINY: dict[str, Any] = {
    "summary": "A tiny run.",
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 8}},
    "generator": "unet_tiny",
    "discriminator": "pixel",
    "losses": {"gan": 1, "l1": 100},
    "schedule": {"epochs": 2},
    "engine": {"batch": 4, "log_every": 1},
    "evaluate": {"every": 1, "samples": 2},
    "tracking": {"name": "tiny", "tags": {"team": "shapes"}},
}


def train(registry: Registry, **overrides: Any) -> TrainedRun:
    return p2pkit.train(TINY, registry=registry, **overrides)


def run_of(folder: Path) -> Any:
    return MlflowClient().get_run((folder / "mlflow.id").read_text().strip())


def files(client: MlflowClient, run_id: str, path: str | None = None) -> list[str]:
    return [item.path for item in client.list_artifacts(run_id, path)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, _new_store: Path, registry: Registry) -> Iterator[TrainedRun]:
    """A finished run in a folder and a store of its own, for tests that only look."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy2(_new_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        outcome = train(registry)
        yield replace(outcome, folder=outcome.folder.absolute(), checkpoint=outcome.checkpoint.absolute())


@pytest.fixture
def tiny_run(trained: TrainedRun) -> p2pkit.Run:
    """What the hooks were given of that run."""
    image = p2pkit.ImageSpec(3)
    data = p2pkit.DatasetFacts("shapes", p2pkit.PairSpec(image, image, 16, 16), {"train": 8, "val": 8}, "aa11-bb22")
    config = yaml.safe_load((trained.folder / "run.yaml").read_text())
    return p2pkit.Run("tiny", "training", trained.folder, config, data, {"torch": "2.11.0+cpu"})


def test_the_config_becomes_parameters(trained: TrainedRun) -> None:
    params = run_of(trained.folder).data.params
    expected = {
        "losses.l1.weight": "100",
        "generator": "unet_tiny",
        "dataset.params.size": "16",
        "evaluate.metrics": "l1, psnr, ssim",
        "optimizers.generator.betas": "[0.5, 0.999]",
        "optimizers.generator.lr": "0.0002",
    }
    assert {key: params[key] for key in expected} == expected
    assert int(params["size.generator"]) > 1000
    assert not [key for key in params if key.startswith(("summary", "origin", "tracking"))]
    assert not [key for key, value in params.items() if value in ("", "None")]
    assert "engine.clip" not in params


def test_scalars_and_scores_share_one_count_of_steps(trained: TrainedRun) -> None:
    run = run_of(trained.folder)
    client = MlflowClient()

    def steps(key: str) -> list[int]:
        return [metric.step for metric in client.get_metric_history(run.info.run_id, key)]

    for key in ("train/generator/l1", "train/generator/l1_weighted", "train/generator/total"):
        assert steps(key) == [1, 2, 3, 4]
    for key in ("train/discriminator/gan", "train/verdict/real", "train/learning_rate/generator", "speed/data_wait"):
        assert steps(key) == [1, 2, 3, 4]
    assert steps("val/l1") == steps("val/gain_percent/ssim") == [0, 2, 4]
    assert steps("val/baseline_mean/l1") == steps("val/baseline_source/psnr") == [0]
    assert trained.report is not None
    assert run.data.metrics["val/l1"] == pytest.approx(trained.report.metrics["l1"])


def test_samples_are_images_with_steps(trained: TrainedRun) -> None:
    run = run_of(trained.folder)
    client = MlflowClient()
    pictures = [name for name in files(client, run.info.run_id, "images") if name.endswith(".png")]
    assert len(pictures) == 6
    for step in (0, 2, 4):
        assert sum(f"val~samples~val-00000+step+{step}+" in name for name in pictures) == 1
    with Image.open(mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/{pictures[0]}")) as picture:
        assert picture.size == (3 * 128, 128)  # 16 x 16 would be shown as small as that
    assert run.data.tags["mlflow.loggedImages"] == "True"
    sheets = [f"samples/step-{step:08d}.png" for step in (0, 2, 4)]
    assert files(client, run.info.run_id, "samples") == sheets


def test_the_config_is_an_artifact_whole(trained: TrainedRun) -> None:
    text = mlflow.artifacts.load_text(f"{run_of(trained.folder).info.artifact_uri}/run.yaml")
    assert yaml.safe_load(text) == yaml.safe_load((trained.folder / "run.yaml").read_text())


def test_the_data_is_an_input_of_each_split(trained: TrainedRun) -> None:
    found = run_of(trained.folder).inputs.dataset_inputs
    by_name = {item.dataset.name: item for item in found}
    assert set(by_name) == {"shapes train", "shapes val"}
    assert len({item.dataset.digest for item in found}) == 2
    assert json.loads(by_name["shapes train"].dataset.profile) == {"pairs": 8}
    contexts = {name: item.tags[0].value for name, item in by_name.items()}
    assert contexts == {"shapes train": "training", "shapes val": "evaluation"}


def test_tags_say_what_took_part(trained: TrainedRun) -> None:
    run = run_of(trained.folder)
    tags = run.data.tags
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "tiny"
    assert tags["mlflow.note.content"] == "A tiny run."
    assert tags["p2pkit.version.p2pkit"] == p2pkit.__version__
    assert tags["p2pkit.folder"] == str(trained.folder)
    assert tags["p2pkit.precision"] == "fp32"
    assert tags["p2pkit.discriminator_parameters"].isdigit()
    assert tags["team"] == "shapes"


def test_files_lie_beside_the_database_and_nowhere_else(trained: TrainedRun) -> None:
    root = trained.folder.parent.parent
    assert sorted(path.name for path in root.iterdir()) == ["mlflow.db", "mlruns", "runs"]
    assert [path.name for path in (root / "mlruns").iterdir()] == ["p2pkit"]


def test_the_model_translates_arrays(trained: TrainedRun) -> None:
    run = run_of(trained.folder)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/generator")
    fakes = loaded.predict(images)
    assert fakes.dtype == np.uint8
    assert np.array_equal(fakes, trained.load().translate(images))
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, -1, -1, 3)
    assert [output.step for output in run.outputs.model_outputs] == [4]
    with pytest.raises(mlflow.MlflowException):
        loaded.predict(images.astype(np.float32))


def test_the_model_is_the_generator_without_the_state_of_training(trained: TrainedRun) -> None:
    run = run_of(trained.folder)
    logged = MlflowClient().get_logged_model(run.outputs.model_outputs[0].model_id)
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{logged.model_id}"))
    kept = sorted(path.name for path in (folder / "data" / "checkpoint").iterdir())
    assert kept == ["generator.safetensors", "run.yaml", "state.json"]
    assert f"p2pkit=={p2pkit.__version__}" in (folder / "requirements.txt").read_text().splitlines()
    assert logged.status == "READY"


def test_the_model_has_the_statistics_that_its_mode_wants(mlflow_here: Path, registry: Registry) -> None:
    mode = {"evaluate.batch_norm": "recalibrated", "schedule.epochs": 1}
    outcome = train(registry, generator={"use": "unet_tiny", "params": {"norm": "batch"}}, **mode)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run_of(outcome.folder).info.run_id}/generator")
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    fakes = loaded.predict(images)
    assert np.array_equal(fakes, p2pkit.load(outcome.folder, registry=registry).translate(images))
    running = p2pkit.load(outcome.folder, registry=registry, **{"evaluate.batch_norm": "running"})
    assert not np.array_equal(fakes, running.translate(images))


def test_a_resumed_run_goes_on_in_the_same_record(mlflow_here: Path, registry: Registry) -> None:
    first = train(registry, **{"schedule.epochs": 1})
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


def test_the_best_checkpoint_is_tagged_and_becomes_the_model(mlflow_here: Path, registry: Registry) -> None:
    wanted = {"checkpoint.best": "l1", "optimizers.generator.lr": 0.05, "schedule.epochs": 3}
    run = train(registry, **wanted)
    assert run.best is not None
    best = f"{int(run.best.name.removeprefix('step-'))}"
    tags = run_of(run.folder).data.tags
    assert (tags["p2pkit.best_step"], tags["p2pkit.best_checkpoint"]) == (best, str(run.best))
    assert tags["p2pkit.ended"] == "all 6 steps are done"
    resumed = resume(run.folder, registry=registry, **{"schedule.epochs": 4, "optimizers.generator.lr": 1e3})
    assert resumed.best == run.best
    record = run_of(run.folder)
    assert record.outputs.model_outputs[-1].step == int(best)


def test_an_active_run_of_the_callers_is_used_and_left_open(mlflow_here: Path, registry: Registry) -> None:
    mlflow.set_experiment("mine")
    with mlflow.start_run(run_name="mine") as mine:
        outcome = train(registry)
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


def test_what_the_caller_has_set_stays(mlflow_here: Path, registry: Registry) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{mlflow_here}/mlflow.db")
    experiment = mlflow.set_experiment("mine")
    train(registry)
    assert mlflow.get_tracking_uri() == f"sqlite:///{mlflow_here}/mlflow.db"
    assert mlflow.active_run() is None
    with mlflow.start_run() as run:
        assert run.info.experiment_id == experiment.experiment_id


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("out of\nmemory"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_an_error_ends_the_run_so(
    mlflow_here: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("p2pkit.engine.training.loop.Loop._evaluate", fail)
    with pytest.raises(type(error)):
        train(registry)
    run = run_of(mlflow_here / "runs" / "tiny")
    assert run.info.status == status
    assert run.data.tags["p2pkit.error"].startswith(type(error).__name__)
    assert "memory" not in run.data.tags["p2pkit.error"]
    assert run.outputs.model_outputs == []


def test_an_evaluation_names_the_training(mlflow_here: Path, registry: Registry) -> None:
    outcome = train(registry, **{"tracking.model": False})
    scored = p2pkit.evaluate(outcome.folder, registry=registry)
    training, evaluation = run_of(outcome.folder), run_of(scored.folder)
    assert evaluation.info.run_id != training.info.run_id
    assert evaluation.data.tags["p2pkit.evaluates"] == training.info.run_id
    assert evaluation.data.tags["p2pkit.kind"] == "evaluation"
    history = MlflowClient().get_metric_history(evaluation.info.run_id, "val/l1")
    assert [metric.step for metric in history] == [4]
    assert training.outputs.model_outputs == []


def test_a_run_is_found_by_its_id_in_mlflow(mlflow_here: Path, registry: Registry) -> None:
    outcome = train(registry, **{"tracking.model": False})
    run_id = run_of(outcome.folder).info.run_id
    image = np.zeros((16, 16, 3), np.uint8)
    assert p2pkit.load(run_id, registry=registry).translate(image).shape == image.shape


def test_nothing_is_made_before_a_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(p2pkit.ConfigError):
        train(registry, generator={"use": "unet", "params": {"depth": 9}})
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_fails_ends_its_run(
    mlflow_here: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(recorder.Recorder, "log_samples", fail)
    outcome = train(registry)
    assert outcome.step == 4
    assert run_of(outcome.folder).info.status == "FAILED"
    assert mlflow_tracker._recorders == {}


def test_a_deleted_experiment_is_an_error_with_a_remedy(mlflow_here: Path, registry: Registry) -> None:
    experiment = MlflowClient().create_experiment("gone")
    MlflowClient().delete_experiment(experiment)
    with pytest.raises(p2pkit.PluginError, match=f"'gone' was deleted in MLflow\n.*restore -x {experiment}"):
        train(registry, **{"tracking.experiment": "gone"})


def test_a_server_that_does_not_answer_is_an_error_at_once(mlflow_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(p2pkit.PluginError, match=f"no MLflow server answers at {address}"):
            store.check_reachable(address)
    store.check_reachable("sqlite:///anything.db")


def test_files_of_a_database_elsewhere_lie_beside_it(
    mlflow_here: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = mlflow_here / "else where"
    elsewhere.mkdir()
    shutil.copy2(mlflow_here / "mlflow.db", elsewhere / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/mlflow.db")
    outcome = train(registry, **{"tracking.experiment": "a/b: c", "tracking.model": False})
    run_id = run_of(outcome.folder).info.run_id
    assert (elsewhere / "mlruns" / "a_b__c" / run_id / "artifacts" / "run.yaml").is_file()
    assert not (mlflow_here / "mlruns").exists() or not list((mlflow_here / "mlruns").iterdir())


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


def test_lists_of_components_become_their_names(tiny_run: p2pkit.Run) -> None:
    flip = {"use": "p2pkit:flip", "alias": "flip", "params": {"p": 0.5, "other": None}}
    config = {**tiny_run.config, "augment": [flip, {**flip, "params": {"p": 1.0}}], "deep": {"a b": {"c!": [1, 2]}}}
    params = parameters.parameters(replace(tiny_run, config=config))
    assert params["augment"] == "flip, flip"
    assert params["augment.flip.p"] == "0.5"
    assert params["augment.flip_2.p"] == "1"
    assert params["deep.a b.c_"] == "[1, 2]"
    assert "augment.flip.other" not in params


def test_machine_paths_are_tags(tiny_run: p2pkit.Run, tmp_path: Path) -> None:
    dataset = {**tiny_run.config["dataset"], "params": {"root": str(tmp_path), "direction": "b_to_a"}}
    run = replace(tiny_run, config={**tiny_run.config, "dataset": dataset})
    assert "dataset.params.root" not in parameters.parameters(run)
    assert parameters.parameters(run)["dataset.params.direction"] == "b_to_a"
    assert parameters.tags(run)["p2pkit.dataset.params.root"] == str(tmp_path)


@pytest.mark.parametrize(("given", "allowed"), [("a/b", "a/b"), ("/a//b/../c", "a/b/c"), ("l1 (soft)", "l1 _soft_")])
def test_names_are_made_of_what_mlflow_allows(given: str, allowed: str) -> None:
    assert parameters.name(given) == allowed


def test_many_and_long_parameters_are_logged(mlflow_here: Path, tiny_run: p2pkit.Run, tmp_path: Path) -> None:
    many = {f"key{index:03}": index for index in range(2 * MAX_PARAMS_TAGS_PER_BATCH + 1)}
    config = {**tiny_run.config, "many": many, "long": "x" * (MAX_PARAM_VAL_LENGTH + 1)}
    recording = recorder.Recorder.begin(replace(tiny_run, config=config, folder=tmp_path))
    recording.finish(None)
    params = MlflowClient().get_run(recording.run_id).data.params
    assert {params[f"many.{key}"] for key in many} == {str(value) for value in many.values()}
    assert len(params["long"]) == MAX_PARAM_VAL_LENGTH
    assert params["long"].endswith("x...")


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
def test_gains_are_those_of_the_report_in_percent(tiny_run: p2pkit.Run, tmp_path: Path) -> None:
    """A perfect baseline can't be beaten by any share, and the other one is not what a gain is over."""
    baselines = {"source": {"l1": 0.6, "psnr": math.inf}, "mean": {"l1": 0.4, "psnr": 10.0}}
    report = p2pkit.Report("val", 8, {"l1": 0.3, "psnr": 20.0}, baselines, {"l1": False, "psnr": True})
    recording = recorder.Recorder.begin(replace(tiny_run, folder=tmp_path))
    recording.log_report(0, report)
    recording.finish(None)
    metrics = MlflowClient().get_run(recording.run_id).data.metrics
    logged = {key: value for key, value in metrics.items() if key.startswith("val/gain_percent/")}
    assert logged == pytest.approx({"val/gain_percent/l1": 25.0})


@pytest.mark.parametrize(
    ("image", "channels", "kind"),
    [
        (p2pkit.ImageSpec(3), 3, "uint8"),
        (p2pkit.ImageSpec(1, high=65535), 1, "uint16"),
        (p2pkit.ImageSpec(2, low=-1, high=1), 2, "float32"),
        (p2pkit.ImageSpec(12, kind="labels"), 1, "uint8"),
        (p2pkit.ImageSpec(256, kind="labels"), 1, "uint8"),
        (p2pkit.ImageSpec(257, kind="labels"), 1, "uint16"),
    ],
)
def test_signatures_are_of_stored_images(image: p2pkit.ImageSpec, channels: int, kind: str) -> None:
    (tensor,) = inputs.image_schema(image).inputs
    assert tensor.shape == (-1, -1, -1, channels)
    assert tensor.type == np.dtype(kind)


GREY, DEEP, FLOATS = p2pkit.ImageSpec(1), p2pkit.ImageSpec(1, high=65535), p2pkit.ImageSpec(1, low=-1, high=1)
FEW, MANY = p2pkit.ImageSpec(2, kind="labels"), p2pkit.ImageSpec(300, kind="labels")


@pytest.mark.parametrize("source", [GREY, DEEP, FLOATS, FEW, MANY])
@pytest.mark.parametrize("target", [GREY, DEEP, FLOATS, FEW, MANY])
def test_a_signature_is_of_what_the_model_takes_and_makes(source: p2pkit.ImageSpec, target: p2pkit.ImageSpec) -> None:
    images = p2pkit.PairSpec(source, target, 4, 4)
    network = nn.Conv2d(source.channels, target.channels, 1)
    place = Placement(torch.device("cpu"), Precision("fp32", torch.device("cpu")), torch.channels_last)
    found = model.signature(images)
    given = np.zeros((2, 4, 4, 1), found.inputs.inputs[0].type)
    assert given.dtype == p2pkit.to_stored(torch.zeros(1, source.channels, 1, 1), source).numpy().dtype
    fakes = p2pkit.Translator(network, images, place).translate(given)
    assert fakes.dtype == found.outputs.inputs[0].type
    assert fakes.shape[3] == found.outputs.inputs[0].shape[3]


def test_digests_are_short_whatever_the_fingerprint(tiny_run: p2pkit.Run) -> None:
    facts = tiny_run.dataset
    assert inputs._digest(facts, "train") == "aa11"
    assert inputs._digest(facts, "val") == "bb22"
    for odd in ("", "-", "x" * 100, "one/two-three-four"):
        digest = inputs._digest(replace(facts, fingerprint=odd), "train")
        assert digest.isalnum()
        assert len(digest) == 12


def test_a_model_asks_for_the_plugins_it_was_made_with(tiny_run: p2pkit.Run, install: Any) -> None:
    install("", name="acme", version="1.2")
    run = replace(tiny_run, versions={**tiny_run.versions, "acme": "1.2"})
    own = [f"p2pkit=={p2pkit.__version__}", "torch==2.11.0"]
    assert model.requirements(run) == own
    foreign = {**run.config, "generator": {"use": "acme:unet", "params": {}}}
    assert model.requirements(replace(run, config=foreign)) == [*own, "acme-dist==1.2"]
