"""The README and the recipes: numbers, names, and a training at sizes for tests."""

from __future__ import annotations

import re
from pathlib import Path

import p2pkit
import pytest
import torch
import yaml
from safetensors.torch import load_file

from p2pkit_bicycle import Bicycle, BicycleUNet, PatchPair

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")
DIVERSITY = {"use": "diversity", "params": {"distance": "l1", "fakes": 2}}
RECIPE = HERE / "recipes" / "bicycle.yaml"


def test_numbers_of_the_readme(spec):
    with torch.device("meta"):
        made = BicycleUNet(spec(256)), BicycleUNet(spec(256), inject="input"), PatchPair(spec(256)), Bicycle(spec(256))
    for network in made:
        assert f"| {sum(parameter.numel() for parameter in network.parameters()):,} |" in README


def test_the_readmes_config_is_the_recipes():
    written = yaml.safe_load(re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1])
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    assert written["losses"] == recipe["losses"]
    assert written["noise"] == recipe["noise"]
    assert set(re.findall(r"recipes/(\w+\.yaml)", README)) == {path.name for path in RECIPE.parent.iterdir()}


def test_a_run_by_the_small_recipe_is_resumed_with_what_its_loss_has_learnt(here):
    small = {
        "dataset": {"use": "shapes", "params": {"size": 32, "count": 8}},
        "generator.params": {"width": 4, "depth": 3},
        "discriminator.params": {"width": 4, "layers": 2},
        "losses.bicycle.params": {"encoder_width": 4, "halvings": 3, "judge_width": 4, "judge_layers": 2},
        "engine": {"batch": 4, "device": "cpu", "log_every": 1},
        "evaluate": {"every": 0, "samples": 2, "fakes": 2, "metrics": [DIVERSITY]},
        "checkpoint.keep": 9,
        "health.gradient_shares": 1,
        "augment": [],
    }
    schedule = {"epochs": 2, "shape": "constant", "decay_after": 0}
    whole = p2pkit.train(RECIPE.with_name("bicycle_64.yaml"), **small, schedule=schedule, **{"tracking.name": "whole"})
    cut = p2pkit.train(
        RECIPE.with_name("bicycle_64.yaml"), **small, schedule={**schedule, "epochs": 1}, **{"tracking.name": "cut"}
    )
    cut = p2pkit.resume(cut.folder, **{"schedule.epochs": 2})
    first, second = (load_file(run.checkpoint / "training.safetensors") for run in (whole, cut))
    held = [name for name in first if name.startswith("losses.bicycle.")]
    assert any("encoder" in name for name in held)
    assert any("judge" in name for name in held)
    assert all(torch.equal(first[name], second[name]) for name in held)
    assert whole.report.metrics["diversity"] > 0
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    model = whole.load()
    one, other = (model.translate(image, z=[value] * 8) for value in (-2.0, 2.0))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", ["bicycle", "bicycle_64"])
def test_recipes_say_what_they_are(name):
    raw = yaml.safe_load(RECIPE.with_stem(name).read_text(encoding="utf-8"))
    assert raw["summary"]
    assert raw["origin"]
