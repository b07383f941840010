"""The three stages, run as the README says, at sizes for tests."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import p2pkit
import pytest
import torch
import yaml
from safetensors.torch import load_file

from p2pkit_pix2pixhd import source_planes

RECIPES = Path(__file__).parents[1] / "recipes"
SMALL = {
    "dataset.params.classes": 4,
    "dataset.params.root": "cityscapes",
    "discriminator.params": {"width": 4, "scales": 2, "layers": 2},
    "engine": {"batch": 2, "device": "cpu", "cache": "memory", "log_every": 1},
    "evaluate.metrics": ["l1"],
    "evaluate.every": 0,
    "schedule": {"epochs": 1, "decay_after": 0},
}
DESIGN = {"halvings": 2, "blocks": 1}
LOCAL = {"width": 2, "local_blocks": 1, **DESIGN}


def train(recipe: str, size: tuple[int, int], generator: dict, **overrides):
    params = {f"generator.params.{name}": value for name, value in generator.items()}
    settings = {**SMALL, **params, "dataset.params.size": list(size), **overrides}
    return p2pkit.train(RECIPES / f"{recipe}.yaml", **settings)


def weights(checkpoint: Path, prefix: str) -> dict[str, torch.Tensor]:
    tensors = load_file(checkpoint / "generator.safetensors")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def same(first, second) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def stages(here, streets):
    """The first two stages, done."""
    whole = train("pix2pixhd_global", (32, 64), {"width": 4, **DESIGN})
    return whole, train("pix2pixhd_local", (64, 128), LOCAL)


def test_from_coarse_to_fine(stages, here):
    whole, local = stages
    joint = train("pix2pixhd_joint", (64, 128), LOCAL)
    assert [run.folder.name for run in (whole, local, joint)] == [
        f"pix2pixhd_{s}" for s in ("global", "local", "joint")
    ]
    assert same(weights(whole.checkpoint, "features."), weights(local.checkpoint, "features.coarse."))
    assert not same(weights(local.checkpoint, "features.coarse."), weights(joint.checkpoint, "features.coarse."))
    assert joint.report.metrics["l1"] > 0

    shutil.rmtree(here / "runs" / "pix2pixhd_local")
    labels = torch.randint(4, (1, 60, 100), dtype=torch.uint8)
    fake = joint.load().translate(source_planes(labels, labels, 4))
    assert (fake.shape, fake.dtype) == ((3, 60, 100), torch.uint8)


def test_going_on_with_the_run_of_stage_two(stages, here):
    _, local = stages
    joint = p2pkit.resume(local.folder, **{"generator.params.train_coarse": True, "schedule.epochs": 2})
    assert (joint.folder, joint.step) == (local.folder, 2 * local.step)
    assert same(weights(local.checkpoint, "features.coarse."), weights(stages[0].checkpoint, "features."))
    assert not same(weights(joint.checkpoint, "features.coarse."), weights(local.checkpoint, "features.coarse."))
    moments = load_file(joint.checkpoint / "training.safetensors").items()
    steps = {int(value) for name, value in moments if name.startswith("optimizer.generator.") and "step" in name}
    assert steps == {local.step, 2 * local.step}


def test_in_one_run_the_inner_part_rests_while_the_enhancer_learns(here, streets):
    kept = {
        "phases.0.epochs": 1,
        "phases.0.size": [32, 64],
        "phases.1.epochs": 1,
        "checkpoint": {"every": 1, "keep": 9},
    }
    run = train("pix2pixhd_phases", (64, 128), LOCAL, **kept, **{"schedule.epochs": 3})
    coarse, fine, joint = sorted(run.checkpoint.parent.iterdir())
    inner = [weights(checkpoint, "features.coarse.") for checkpoint in (coarse, fine, joint)]
    outer = [weights(checkpoint, "features.front.") for checkpoint in (coarse, fine, joint)]
    assert [same(inner[0], inner[1]), same(inner[1], inner[2]), same(outer[0], outer[1])] == [True, False, False]


def test_weights_that_are_lacking_are_found_before_training(here, streets):
    with pytest.raises(p2pkit.ConfigError) as caught:
        train("pix2pixhd_local", (64, 128), LOCAL)
    assert [problem.path for problem in caught.value.problems] == ["generator.params.weights"]
    assert "no checkpoint at runs/pix2pixhd_global" in str(caught.value)


def test_an_evaluation_can_name_the_run_itself(stages, here):
    whole, local = stages
    shutil.rmtree(whole.folder)
    with pytest.raises(p2pkit.ConfigError, match="or this run itself"):
        p2pkit.evaluate(local.folder)
    scored = p2pkit.evaluate(local.folder, **{"generator.params.weights": str(local.folder)})
    assert scored.report.metrics == local.report.metrics


@pytest.mark.parametrize("name", ["pix2pixhd_global", "pix2pixhd_local"])
def test_a_few_steps_on_shapes(here, name):
    config = {
        "dataset": {"use": "shapes", "params": {"size": 32, "count": 16}},
        "generator": {"use": name, "params": {"width": 8, "upsampling": "nearest", **DESIGN}},
        "discriminator": {"use": "multiscale", "params": {"width": 8, "scales": 2, "layers": 1, "norm": "instance"}},
        "losses": {"gan": {"weight": 1, "params": {"mode": "lsgan"}}, "feature_matching": 10, "l1": 100},
        "optimizers": {"generator": {"lr": 2e-3}},
        "engine": {"batch": 4, "device": "cpu"},
        "evaluate": {"metrics": ["l1"], "every": 0},
    }
    first, later = (p2pkit.train(config, schedule={"steps": steps}).report.metrics["l1"] for steps in (1, 24))
    assert later < 0.6 * first


def test_the_recipe_with_vgg_says_what_it_needs(here, streets):
    raw = yaml.safe_load((RECIPES / "pix2pixhd_global_vgg.yaml").read_text())
    assert (raw["extends"], raw["losses"]["vgg"]["weight"]) == ("pix2pixhd_global.yaml", 10)
    if any(entry.name == "perceptual" for entry in importlib.metadata.entry_points(group="p2pkit.plugins")):
        pytest.skip("p2pkit-perceptual is installed, its own tests train with `vgg`")
    with pytest.raises(p2pkit.ConfigError) as caught:
        train("pix2pixhd_global_vgg", (32, 64), {"width": 4, **DESIGN})
    assert [problem.path for problem in caught.value.problems] == ["losses.vgg.use"]
