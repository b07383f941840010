"""The recipe, run at a size for tests; and learning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import p2pkit

RECIPE = Path(__file__).parents[1] / "recipes" / "demo_smp.yaml"
SHAPES = {"use": "shapes", "params": {"size": 64, "count": 8}}
ENGINE = {"batch": 4, "device": "cpu", "log_every": 1}


def test_the_recipe_trains_and_translates(here):
    run = p2pkit.train(
        RECIPE,
        dataset=SHAPES,
        schedule={"epochs": 1, "decay_after": 0},
        engine=ENGINE,
        evaluate={"every": 0, "metrics": ["l1"], "samples": 2},
        checkpoint={"every": 0},
        **{"generator.params.encoder": "tu-resnet10t", "generator.params.channels": [32, 16, 8]},
    )
    fake = run.load().translate(p2pkit.to_picture(torch.zeros(3, 50, 70), p2pkit.ImageSpec(3)))
    assert fake.shape == (50, 70, 3)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("smp_unet", {"encoder": "tu-resnet10t", "channels": [32, 16, 8]}),
        ("smp_fpn", {"encoder": "tu-resnet10t", "pyramid_channels": 32, "channels": 32}),
    ],
)
def test_a_few_steps_on_shapes(here, name, params):
    config = {
        "dataset": SHAPES,
        "generator": {"use": f"smp:{name}", "params": params},
        "losses": {"l1": 1},
        "optimizers": {"generator": {"lr": 2e-3}},
        "engine": ENGINE,
        "evaluate": {"every": 0, "metrics": ["l1"], "batch_norm": "batch"},
    }
    first, later = (p2pkit.train(config, schedule={"steps": steps}).report.metrics["l1"] for steps in (1, 12))
    assert later < 0.75 * first
