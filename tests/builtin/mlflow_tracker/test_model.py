"""Checkpoints as models: which there are, what they say, what they take, and that they run without p2pkit."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from PIL import Image

import p2pkit
from p2pkit.api import TrainedRun
from p2pkit.builtin.mlflow_tracker import p2pkit_model
from p2pkit.builtin.mlflow_tracker.delivery import Delivery
from p2pkit.builtin.mlflow_tracker.journal import Journal, Past
from p2pkit.builtin.mlflow_tracker.model import FILES, STEP, Models, Shelf
from p2pkit.builtin.mlflow_tracker.model_folder import example
from p2pkit.registry import Registry, load_registry

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
PORTABLE = True
WITHOUT_P2PKIT = """
import importlib.abc, sys

class Nowhere(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "p2pkit":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nowhere())
import mlflow, numpy as np, torch
images = np.load("images.npy")
answered = mlflow.pyfunc.load_model({folder!r}).predict(images)
network = mlflow.pytorch.load_model({folder!r})
np.savez("made.npz", pyfunc=answered, torch=network(torch.from_numpy(images)).numpy())
assert not [name for name in sys.modules if name.partition(".")[0] == "p2pkit"]
"""


def png(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


def models(folder: Path, run_of: Any) -> list[LoggedModel]:
    record = run_of(folder)
    wanted = f"tags.`p2pkit.run` = '{record.info.run_id}'"
    return list(MlflowClient().search_logged_models([record.info.experiment_id], filter_string=wanted))


@pytest.fixture(scope="module")
def address(trained: TrainedRun, run_of: Any) -> str:
    """The model of the finished run."""
    return str(run_of(trained.folder).data.tags["p2pkit.model"])


@pytest.fixture(scope="module")
def loaded(address: str) -> Any:
    """The same, as MLflow loads it."""
    return mlflow.pyfunc.load_model(address)


def test_kept_checkpoints_are_models_with_scores_of_a_data_set(trained: TrainedRun, run_of: Any) -> None:
    record = run_of(trained.folder)
    found = {model.tags[STEP]: model for model in models(trained.folder, run_of)}
    kept = {int(path.name.removeprefix("step-")) for path in trained.folder.glob("[cb]*/step-*")}
    assert {int(step) for step in found} == kept
    last = found["4"]
    assert (last.name, last.status) == ("tiny-step-4", "READY")
    data = next(item.dataset for item in record.inputs.dataset_inputs if item.dataset.name == "shapes val")
    assert {(point.dataset_name, point.dataset_digest) for point in last.metrics} == {(data.name, data.digest)}
    assert trained.report is not None
    assert {point.key: point.value for point in last.metrics}["val/l1"] == pytest.approx(trained.report.metrics["l1"])
    assert last.tags["p2pkit.protocol.val.l1"] == record.data.tags["p2pkit.protocol.val.l1"]
    assert last.params["losses.l1.weight"] == "100"
    assert {output.model_id: output.step for output in record.outputs.model_outputs}[last.model_id] == 4


def test_scores_of_models_double_no_points_of_the_run(trained: TrainedRun, run_of: Any) -> None:
    history = MlflowClient().get_metric_history(run_of(trained.folder).info.run_id, "val/l1")
    assert [point.step for point in history] == [0, 2, 4]


def test_entries_sent_twice_make_one_model(trained: TrainedRun, run_of: Any) -> None:
    before = [(model.model_id, len(model.metrics)) for model in models(trained.folder, run_of)]
    journal = Journal.of(trained.folder, run_of(trained.folder).info.run_id)
    delivery = Delivery(MlflowClient(), journal)
    for entry, _ in journal._read(0):
        if "kept" in entry:
            delivery._log(({**entry, "kept": entry["kept"]},), doubtful=True)
    assert [(model.model_id, len(model.metrics)) for model in models(trained.folder, run_of)] == before
    test_scores_of_models_double_no_points_of_the_run(trained, run_of)


def test_a_removed_checkpoint_is_a_model_no_more(tmp_path: Path, tiny_run: p2pkit.Run) -> None:
    told = Models(tiny_run, Past())
    (tmp_path / "checkpoints" / "step-1").mkdir(parents=True)
    told.scored(1, p2pkit.Report("val", 8, {"l1": 0.5}))
    assert [entry["kept"] for entry in told.kept(1, tmp_path / "checkpoints" / "step-1")] == ["checkpoints/step-1"]
    assert list(told.pruned()) == []
    (tmp_path / "checkpoints" / "step-1").rmdir()
    assert list(told.kept(2, tmp_path / "checkpoints" / "step-2")) == [{"pruned": 1}]
    assert list(told.pruned()) == []


def test_a_checkpoint_of_which_a_killed_process_did_not_tell_is_a_model_when_it_goes_on(
    tmp_path: Path, tiny_run: p2pkit.Run
) -> None:
    journal = Journal.of(tmp_path, "id")
    journal.append(*(Models(tiny_run, Past()).scored(step, p2pkit.Report("val", 8, {"l1": 0.5})) for step in (1, 2)))
    (tmp_path / "checkpoints" / "step-00000002").mkdir(parents=True)
    later = Models(tiny_run, journal.past())
    entries = list(later.missed())
    assert [(entry["kept"], entry["step"]) for entry in entries] == [("checkpoints/step-00000002", 2)]
    assert entries[0]["scores"] == {"val/l1": 0.5}
    journal.append(*entries)
    assert list(Models(tiny_run, journal.past()).missed()) == []


def test_a_store_of_plain_files_can_still_read_the_scores_of_a_run(
    tmp_path: Path, tiny_run: p2pkit.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient((tmp_path / "store").as_uri())
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "val/l1", 0.5, step=1)
    checkpoint = tmp_path / "checkpoints" / "step-1"
    checkpoint.mkdir(parents=True)
    told = Models(tiny_run, Past())
    told.scored(1, p2pkit.Report("val", 8, {"l1": 0.5}))
    (entry,) = told.kept(1, checkpoint)
    Shelf(client, run_id).keep(checkpoint, entry)
    assert [point.value for point in client.get_metric_history(run_id, "val/l1")] == [0.5]
    assert [model.name for model in client.search_logged_models(["0"])] == [entry["name"]]


def test_the_model_translates_arrays(loaded: Any, trained: TrainedRun) -> None:
    fakes = loaded.predict(IMAGES)
    assert fakes.dtype == np.uint8
    assert np.array_equal(fakes, p2pkit.load(trained.best or "").translate(IMAGES))
    assert np.array_equal(loaded.predict(IMAGES.astype(object)), fakes)  # as JSON brings them
    for wrong in (IMAGES[0], IMAGES / 255.0, IMAGES.astype(int) + 256):
        with pytest.raises(ValueError, match=r"wanted"):
            loaded.predict(wrong)


def test_the_model_answers_files_with_files(loaded: Any) -> None:
    wanted = loaded.predict(IMAGES)
    by_bytes = loaded.predict(np.array([png(image) for image in IMAGES], dtype=object))
    assert all(np.array_equal(pixels(file), fake) for file, fake in zip(by_bytes, wanted, strict=True))
    text = [base64.b64encode(png(image)).decode() for image in IMAGES]
    for given in (np.array(text), np.array([f"data:image/png;base64,{one}" for one in text])):
        answered = loaded.predict(given)
        assert [base64.b64decode(one) for one in answered] == list(by_bytes)
    assert pixels(loaded.predict(np.array([png(IMAGES[0], "JPEG")]))[0]).shape == (16, 16, 3)
    for wrong in ("no base64!", base64.b64encode(b"no picture").decode()):
        with pytest.raises(ValueError, match="no PNG or JPEG"):
            loaded.predict(np.array([wrong]))


def test_the_model_says_what_it_holds_and_needs(address: str, loaded: Any) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(address))
    held = sorted(path.name for path in (folder / "data" / "generator" / "checkpoint").iterdir())
    assert held == ["generator.safetensors", "run.yaml", "state.json"]
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert f"torch=={torch.__version__.partition('+')[0]}" in lines
    given = json.loads((folder / "serving_input_example.json").read_text())["inputs"]
    assert pixels(base64.b64decode(loaded.predict(np.array(given))[0])).shape == (16, 16, 3)


def test_a_model_without_files_loads_where_its_checkpoint_lies(
    mlflow_here: Path, train: Any, run_of: Any, registry: Registry
) -> None:
    outcome = train(**{"checkpoint.every": 1, "schedule.steps": 4, "schedule.epochs": None})
    first, last = sorted(models(outcome.folder, run_of), key=lambda model: int(model.tags[STEP]))
    assert (first.tags[FILES], last.tags[FILES]) == ("in the run's folder", "here")
    fakes = mlflow.pyfunc.load_model(f"models:/{first.model_id}").predict(IMAGES)
    earlier = outcome.folder / "checkpoints" / "step-00000002"
    assert np.array_equal(fakes, p2pkit.load(earlier, registry=registry).translate(IMAGES))
    earlier.rename(earlier.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match="not there any more"):
        mlflow.pyfunc.load_model(f"models:/{first.model_id}")


def test_the_model_runs_where_p2pkit_is_not_installed(address: str, loaded: Any, tmp_path: Path, python: Any) -> None:
    odd = np.random.default_rng(1).integers(0, 256, (3, 21, 30, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", odd)
    folder = mlflow.artifacts.download_artifacts(address)
    python(WITHOUT_P2PKIT.format(folder=folder), tmp_path)
    wanted = loaded.predict(odd).astype(int)
    made = np.load(tmp_path / "made.npz")
    for way in ("pyfunc", "torch"):
        assert np.abs(made[way].astype(int) - wanted).max() <= 1, way


def test_without_p2pkit_and_without_a_program_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images.json").write_text('{"source": "uint8"}')
    monkeypatch.setitem(sys.modules, "p2pkit", None)
    with pytest.raises(ImportError, match="needs p2pkit"):
        p2pkit_model._load_pyfunc(str(tmp_path))


def test_the_example_is_a_file_where_one_holds_the_sources() -> None:
    rgb, many = p2pkit.ImageSpec(3), p2pkit.ImageSpec(7)
    assert isinstance(example(p2pkit.PairSpec(rgb, rgb, 8, 8), {})[0], str)
    assert example(p2pkit.PairSpec(many, rgb, 8, 8), {}).shape == (1, 8, 8, 7)


def test_the_model_has_the_statistics_that_its_mode_wants(
    run_of: Any, mlflow_here: Path, registry: Registry, train: Any
) -> None:
    mode = {"evaluate.batch_norm": "recalibrated", "schedule.epochs": 1}
    outcome = train(generator={"use": "unet_tiny", "params": {"norm": "batch"}}, **mode)
    fakes = mlflow.pyfunc.load_model(run_of(outcome.folder).data.tags["p2pkit.model"]).predict(IMAGES)
    assert np.array_equal(fakes, p2pkit.load(outcome.folder, registry=registry).translate(IMAGES))
    running = p2pkit.load(outcome.folder, registry=registry, **{"evaluate.batch_norm": "running"})
    assert not np.array_equal(fakes, running.translate(IMAGES))


def test_a_plugin_goes_along_and_is_run_only_when_trusted(
    mlflow_here: Path,
    tiny: dict[str, Any],
    write_plugin: Any,
    marking: Any,
    run_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marker = mlflow_here / "was-imported"
    plugin = write_plugin(marking(marker))
    names = load_registry(plugin_files=[plugin], discover=False)
    changes = {"generator": "acme:plain", "schedule": {"steps": 1}, "tracking": {"system_metrics": False}}
    outcome = p2pkit.train({**tiny, **changes}, registry=names)
    record = run_of(outcome.folder)
    assert [item.path for item in MlflowClient().list_artifacts(record.info.run_id, "plugins")] == ["plugins/acme.py"]
    plugin.unlink()
    marker.unlink()
    monkeypatch.setenv("P2PKIT_CACHE", str(mlflow_here / "of somebody else"))
    address = record.data.tags["p2pkit.model"]
    with pytest.warns(UserWarning, match="network's own program is used"):
        fakes = mlflow.pyfunc.load_model(address).predict(IMAGES)
    assert not marker.exists()
    trusted = mlflow.pyfunc.load_model(address, model_config={"trust": True}).predict(IMAGES)
    assert marker.exists()
    assert np.abs(fakes.astype(int) - trusted).max() <= 1
