"""What a finished run has left in MLflow."""

from __future__ import annotations

import json
from typing import Any

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image

import p2pkit
from p2pkit.api import TrainedRun


def files(client: MlflowClient, run_id: str, path: str | None = None) -> list[str]:
    return [item.path for item in client.list_artifacts(run_id, path)]


def test_the_config_becomes_parameters(run_of: Any, trained: TrainedRun) -> None:
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


def test_scalars_and_scores_share_one_count_of_steps(run_of: Any, trained: TrainedRun) -> None:
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


def test_samples_are_images_with_steps(run_of: Any, trained: TrainedRun) -> None:
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


def test_the_config_is_an_artifact_whole(run_of: Any, trained: TrainedRun) -> None:
    text = mlflow.artifacts.load_text(f"{run_of(trained.folder).info.artifact_uri}/run.yaml")
    assert yaml.safe_load(text) == yaml.safe_load((trained.folder / "run.yaml").read_text())


def test_the_data_is_an_input_of_each_split(run_of: Any, trained: TrainedRun) -> None:
    found = run_of(trained.folder).inputs.dataset_inputs
    by_name = {item.dataset.name: item for item in found}
    assert set(by_name) == {"shapes train", "shapes val"}
    assert len({item.dataset.digest for item in found}) == 2
    assert json.loads(by_name["shapes train"].dataset.profile) == {"pairs": 8}
    contexts = {name: item.tags[0].value for name, item in by_name.items()}
    assert contexts == {"shapes train": "training", "shapes val": "evaluation"}


def test_tags_say_what_took_part(run_of: Any, trained: TrainedRun) -> None:
    run = run_of(trained.folder)
    tags = run.data.tags
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "tiny"
    table, *_, about = tags["mlflow.note.content"].split("\n\n")
    assert "| l1 ↓ |" in table
    assert about == "A tiny run."
    assert tags["p2pkit.version.p2pkit"] == p2pkit.__version__
    assert tags["p2pkit.folder"] == str(trained.folder)
    assert tags["p2pkit.precision"] == "fp32"
    assert tags["p2pkit.discriminator_parameters"].isdigit()
    assert tags["team"] == "shapes"


def test_files_lie_beside_the_database_and_nowhere_else(trained: TrainedRun) -> None:
    root = trained.folder.parent.parent
    assert sorted(path.name for path in root.iterdir()) == [".mlflow.db.lock", "mlflow.db", "mlruns", "runs"]
    assert [path.name for path in (root / "mlruns").iterdir()] == ["p2pkit"]
