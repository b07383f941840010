"""The README's numbers, recipes and code are those of the plugin."""

from __future__ import annotations

import re
from pathlib import Path

import p2pkit_monai
import pytest
import torch

from p2pkit import ImageSpec, PairSpec

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")
OFFERS = [*p2pkit_monai.p2pkit_generators(), *p2pkit_monai.p2pkit_discriminators()]


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_parameters(offer):
    images = PairSpec(ImageSpec(1), ImageSpec(1), 64, 64)
    with torch.device("meta"):
        networks = [offer.build(spec, {}) for spec in (images, images.sized((64, 64, 64)))]
    counts = [sum(weight.numel() for weight in network.parameters()) for network in networks]
    row = f"| `{offer.name}` | {counts[0]:,} | {counts[1]:,} |"
    assert row + (f" {networks[0].multiple} |" if offer.kind == "generator" else "") in README


def test_what_it_names_is_there(series, tmp_path, monkeypatch):
    recipes = {path.name for path in (HERE / "recipes").iterdir()}
    assert set(re.findall(r"recipes/(\w+\.yaml)", README)) <= recipes
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    made = {}
    exec(code, made)
    monkeypatch.setattr("p2pkit.load", lambda run: _Same())
    assert len(made["translate_series"]("run", series[0], tmp_path / "fake")) == 5


class _Same:
    def translate(self, volume):
        return volume
