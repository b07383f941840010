"""What the README and the recipe write is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import p2pkit_geo

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")
RECIPE = HERE / "recipes" / "scene_to_map.yaml"


def test_every_data_set_has_the_parameters_that_it_is_given(names):
    written = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
    used = [each["dataset"] for each in (*written, yaml.safe_load(RECIPE.read_text(encoding="utf-8")))]
    assert len(used) == 4
    for data in used:
        assert names.resolve("dataset", data["use"], data["params"]).problems() == []
    (reader,) = (data["params"]["source_reader"] for data in used if "source_reader" in data["params"])
    assert names.resolve("reader", reader["use"], reader["params"]).problems() == []


def test_all_that_is_offered_is_in_the_table():
    offered = [*p2pkit_geo.p2pkit_datasets(), *p2pkit_geo.p2pkit_readers()]
    assert all(f"| `{each.name}` | {'reader' if each.kind == 'reader' else 'data set'} |" in README for each in offered)
    assert "recipes/scene_to_map.yaml" in README
    assert "tiles.png" in {path.name for path in HERE.iterdir()}
