"""The README's numbers, and that it names every parameter."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

import p2pkit_unets
from p2pkit import ImageSpec, PairSpec

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMPONENTS = list(p2pkit_unets.p2pkit_generators())
IMAGES = PairSpec(ImageSpec(3), ImageSpec(3), 256, 256)


def test_the_table_has_the_size_and_the_work_of_each_network():
    table = dict(re.findall(r"^\| `(\w+)` \|.*\| ([\d,]+ \| [\d.]+ G) \|$", TEXT, re.MULTILINE))
    measured = {}
    for component in COMPONENTS:
        with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
            net = component.build(IMAGES, {})
            net(torch.empty(1, 3, 256, 256))
        count = sum(parameter.numel() for parameter in net.parameters())
        measured[component.name] = f"{count:,} | {counter.get_total_flops() / 2e9:.1f} G"
    assert table == measured


def test_the_table_of_parameters_is_complete():
    named = set(re.findall(r"^\| `(\w+)` \|", TEXT.partition("## Parameters")[2], re.MULTILINE))
    for component in COMPONENTS:
        assert set(component.parameters.model_fields) == named


def test_the_defaults_are_those_of_the_table():
    defaults = {component.name: component.parameters().model_dump() for component in COMPONENTS}
    others = {"residual_unet": {"depth": 3}, "unet_plus_plus": {"width": 32}}
    upsamplings = {"residual_unet": "nearest", "unet_plus_plus": "transposed"}
    for name, values in defaults.items():
        common = {"depth": 4, "width": 64, "max_width": None, "norm": "batch", "dropout": 0.0, "init_std": 0.02}
        assert values == {**common, "upsampling": upsamplings.get(name, "bilinear"), **others.get(name, {})}


def test_without_a_norm_a_larger_init_std_is_needed_and_enough():
    for component in COMPONENTS:
        spread = {}
        for std in (0.02, 0.05):
            torch.manual_seed(0)
            images = PairSpec(ImageSpec(3), ImageSpec(3), 32, 32)
            net = component.build(images, {"width": 32, "norm": "none", "init_std": std})
            with torch.no_grad():
                spread[std] = net(torch.rand(1, 3, 32, 32) * 2 - 1).std().item()
        assert spread[0.02] < 1e-3 < spread[0.05], component.name
