"""Every name that a run leaves in MLflow is in the reference."""

import re
import shutil

import pytest
from pages import read

import p2pkit

CONFIG = {
    "summary": "A test.",
    "dataset": {"use": "shapes", "params": {"size": 32, "count": 16}},
    "augment": ["flip"],
    "generator": "unet_tiny",
    "discriminator": "patch_16",
    "schedule": {"epochs": 1},
    "engine": {"batch": 8, "log_every": 1},
    "tracking": {"tags": {}, "system_metrics": False, "model": False},
}
PATTERNS = (
    (r"^train/(generator|discriminator)/(gan|l1)(_weighted)?$", r"train/\1/TERM\3"),
    (r"^train/(gradient_\w+)/(gan|l1)$", r"train/\1/TERM"),
    (r"^(val|train)/variety$", "SPLIT/variety"),
    (r"^(val|train)/((?:gain_percent|baseline_\w+)/)?(l1|psnr|ssim)$", r"SPLIT/\2METRIC"),
    (r"^p2pkit\.protocol\..*", "p2pkit.protocol.SPLIT.METRIC"),
    (r"^p2pkit\.version\.(?!git).*", "p2pkit.version.NAME"),
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, _new_store):
    import mlflow

    folder = tmp_path_factory.mktemp("recorded")
    shutil.copy2(_new_store, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        run = p2pkit.train(CONFIG)
        client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        run_id = (run.folder / "mlflow.id").read_text().strip()
        yield client.get_run(run_id).data, [item.path for item in client.list_artifacts(run_id)]


def documented(name: str) -> str:
    """Return the form in which the reference writes a name."""
    for pattern, form in PATTERNS:
        name = re.sub(pattern, form, name)
    return name


def test_metrics(recorded) -> None:
    data, _ = recorded
    page = read("reference/mlflow.md")
    assert {"train/generator/l1", "val/l1", "speed/data_wait"} <= set(data.metrics)
    assert [name for name in data.metrics if f"`{documented(name)}`" not in page] == []


def test_tags(recorded) -> None:
    data, _ = recorded
    page = read("reference/mlflow.md")
    own = [name for name in data.tags if name.startswith("p2pkit.")]
    assert own
    assert [name for name in own if f"`{documented(name)}`" not in page] == []


def test_parameters(recorded) -> None:
    data, _ = recorded
    page, config = read("reference/mlflow.md"), read("reference/config.md")
    assert data.params["losses.l1.weight"] == "100"
    assert data.params["augment"] == "flip"
    tops = {name.partition(".")[0] for name in data.params}
    assert [name for name in tops if f"`{name}`" not in page and f"`{name}" not in config and name != "size"] == []
    assert [name for name in data.params if name.startswith("size.") and f"`{name}`" not in page] == []


def test_artifacts(recorded) -> None:
    _, artifacts = recorded
    page = read("reference/mlflow.md")
    assert "run.yaml" in artifacts
    assert [name for name in artifacts if name != "images" and f"`{name}" not in page] == []
