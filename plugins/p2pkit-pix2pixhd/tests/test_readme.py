"""The README's numbers and recipes are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

import p2pkit_pix2pixhd
from p2pkit_pix2pixhd import GlobalGenerator, LocalGenerator

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("factory", "size"),
    [(GlobalGenerator, (256, 512)), (GlobalGenerator, (512, 1024)), (LocalGenerator, (512, 1024))],
)
def test_parameters_and_multiply_adds(spec, factory, size):
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = factory(spec(*size, source=36))
        network(torch.zeros(1, 36, *size))
    count = sum(parameter.numel() for parameter in network.parameters())
    row = f"| {size[1]} x {size[0]} | {count:,} | {counter.get_total_flops() / 2e9:.1f} G |"
    assert row in README


def test_every_recipe_is_there_and_extends_one_that_is():
    named = set(re.findall(r"recipes/(\w+\.yaml)", README))
    files = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (HERE / "recipes").iterdir()}
    assert named == files.keys()
    assert {raw["extends"] for raw in files.values() if "extends" in raw} < files.keys()
    assert all(raw["summary"] and raw["origin"] for raw in files.values())


def test_the_data_set_of_the_readme_is_the_recipes():
    written = yaml.safe_load(README.partition("```yaml\n")[2].partition("```")[0])["dataset"]
    recipe = yaml.safe_load((HERE / "recipes/pix2pixhd_global.yaml").read_text(encoding="utf-8"))["dataset"]
    written["params"].pop("size"), recipe["params"].pop("size")
    assert written == recipe


def test_python_of_the_readme_uses_what_there_is():
    names = re.findall(r"from p2pkit_pix2pixhd import (\w+)", README)
    assert names
    assert set(names) <= set(p2pkit_pix2pixhd.__all__)
