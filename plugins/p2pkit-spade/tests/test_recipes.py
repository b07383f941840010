"""The README and the recipes: numbers, names, and a step of each at sizes for tests."""

from __future__ import annotations

import re
from pathlib import Path

import p2pkit
import pytest
import yaml

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")
RECIPES = {path.stem: path for path in (HERE / "recipes").iterdir()}
COUNTS = re.findall(
    r"== (\d\d[\d_]+)|, (\d\d[\d_]{7,})\)", (HERE / "tests/test_networks.py").read_text(encoding="utf-8")
)


def test_numbers_and_recipes_of_the_readme():
    assert set(re.findall(r"recipes/(\w+)\.yaml", README)) == set(RECIPES)
    counts = {"".join(found).replace("_", ",") for found in COUNTS}
    assert len(counts) == 7
    assert all(f"| {count} |" in README for count in counts), counts


SMALL = {
    "generator.params.width": 2,
    "generator.params.upsamplings": 4,
    "generator.params.hidden": 4,
    "generator.params.spectral_norm": False,
    "dataset.params": {"root": "streets", "source": "labels", "target": "A", "classes": 3, "size": 32},
    "engine": {"batch": 2, "device": "cpu", "sync_batch_norm": False, "log_every": 1},
    "evaluate": {"every": 0, "samples": 2, "fakes": 2, "metrics": ["l1"]},
    "schedule": {"epochs": 1, "shape": "constant", "decay_after": 0},
}
JUDGE = {"discriminator.params": {"scales": 1, "layers": 1, "width": 2, "norm": "instance"}}
OF = {
    "gaugan": {**JUDGE, "losses.style.params": {"width": 2, "side": 16}},
    "oasis": {"discriminator.params": {"width": 2, "halvings": 2, "spectral_norm": False}},
}


def test_recipes_say_what_they_are():
    for path in RECIPES.values():
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert raw["summary"]
        assert raw["origin"]


@pytest.mark.parametrize("name", OF)
def test_an_epoch_by_recipes_that_need_all_there_is(streets, name):
    run = p2pkit.train(RECIPES[name], **SMALL, **OF[name])
    assert run.step == 2
    assert run.report.metrics["l1"] > 0
