"""The model that ships with p2pkit: small, whole, described, and of use."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

import p2pkit
from p2pkit.builtin.datasets.side_by_side import emoji
from p2pkit.config import recipe_names
from p2pkit.engine.storage.find import SHIPPED, shipped_models
from p2pkit.engine.storage.state import verify
from p2pkit.serving import load_models

DEMO = SHIPPED / "demo"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("nothing"))
        return p2pkit.load("demo", device="cpu")


def test_it_is_small_and_what_was_written():
    assert shipped_models() == ["demo"]
    assert sum(file.stat().st_size for file in DEMO.iterdir()) < 4_000_000
    for name in ("generator.safetensors", "run.yaml"):
        assert name in json.loads((DEMO / "state.json").read_text())["files"]
        verify(DEMO / name)


def test_its_card_says_how_it_was_made_and_names_no_machine():
    card = (DEMO / "README.md").read_text(encoding="utf-8")
    assert "license: mit" in card
    assert "p2pkit train demo_model" in card
    assert "demo_model" in recipe_names()
    assert "| l1 ↓ |" in card
    for file in ("README.md", "run.yaml", "evaluation.json", "state.json"):
        assert not re.search(r"(?<![\w.:/])/(root|home|tmp|work)/", (DEMO / file).read_text(encoding="utf-8"))


def test_it_colours_drawings_that_it_has_never_seen(demo):
    pairs = emoji().pairs("val")
    off, unmade, colour = [], [], []
    for index in range(0, 180, 6):
        source, target = (image.permute(1, 2, 0).numpy() for image in (pairs[index].source, pairs[index].target))
        fake = demo.translate(source)
        off.append(np.abs(fake.astype(float) - target).mean())
        unmade.append(np.abs(source.astype(float) - target).mean())
        colour.append(float(np.ptp(fake.astype(float), axis=2).mean()))
    assert np.mean(off) < 0.6 * np.mean(unmade)
    assert np.mean(colour) > 25


def test_any_drawing_is_taken_and_the_page_has_pictures_to_start_from(demo, quiet):
    drawing = Image.new("RGB", (100, 90), "white")
    assert demo.translate(drawing).size == (100, 90)
    (served,) = load_models(["demo"], device="cpu", registry=quiet).values()
    assert (served.name, len(served.samples), served.samples[0].shape) == ("demo", 8, (64, 64, 3))
    assert "p2pkit train demo_model" in served.card
    assert list(served.scores) == ["l1 ↓", "psnr ↑", "ssim ↑"]
    assert all(f"| {name} | {value:.4g} |" in served.card for name, value in served.scores.items())
