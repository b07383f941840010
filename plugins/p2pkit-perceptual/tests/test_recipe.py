"""The recipe, run at a size for tests; and every loss in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

import p2pkit

RECIPE = Path(__file__).parents[1] / "recipes" / "facades_perceptual.yaml"
SMALL = {
    "dataset": {"use": "shapes", "params": {"size": 32, "count": 4}},
    "augment": [],
    "generator": "unet_tiny",
    "discriminator": {"use": "patch_16", "params": {"width": 8}},
    "optimizers.generator.lr": 2e-3,
    "schedule": {"epochs": 1, "steps": None, "decay_after": 0},
    "engine": {"batch": 2, "device": "cpu", "log_every": 1},
    "evaluate": {"every": 0, "metrics": ["l1"], "samples": 2},
    "checkpoint.every": 0,
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, without MLflow."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recipe_trains(here, random_weights):
    weights = {"losses.lpips.params": {"network": "alexnet", "weights": str(random_weights("alexnet"))}}
    run = p2pkit.train(RECIPE, **SMALL, **weights)
    assert run.step == 2
    stored = [path.name for path in run.checkpoint.iterdir()]
    assert sum(path.stat().st_size for path in run.checkpoint.rglob("*")) < 5e6, (
        stored
    )  # the frozen network is not in it


def test_the_recipe_says_before_training_what_is_lacking(here, offline):
    with pytest.raises(p2pkit.ConfigError) as caught:
        p2pkit.train(RECIPE, **SMALL)
    (problem,) = caught.value.problems
    assert problem.path == "losses.lpips.params.weights"
    assert "vgg16-397923af.pth" in problem.remedy


def test_every_loss_alone_teaches_a_generator(here, random_weights):
    files = {name: {"network": name, "weights": str(random_weights(name))} for name in ("vgg16", "alexnet")}
    losses = {
        "vgg": {"params": {**files["vgg16"], "layers": {"relu1_2": 1.0}}},
        "lpips": {"params": files["alexnet"]},
        "dists": {"params": {"weights": files["vgg16"]["weights"]}},
        "focal_frequency": {},
    }
    for name, loss in losses.items():
        term = {"losses": {name: {"use": f"perceptual:{name}", "weight": 10, **loss}}}
        config = {key: value for key, value in SMALL.items() if "." not in key and key != "schedule"} | term
        config["optimizers"] = {"generator": {"lr": 5e-3}}
        first, last = (p2pkit.train(config, schedule={"steps": steps}).report.metrics["l1"] for steps in (1, 10))
        assert last < first, name
