"""It learns, and it learns the same thing as yesterday."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import p2pkit
from p2pkit.config import load_config, resolve
from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.check import check
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader

GOLDEN = Path(__file__).parent / "first_losses.json"
CONFIG = {
    "dataset": {"use": "shapes", "params": {"size": 32, "count": 64}},
    "generator": "unet_tiny",
    "discriminator": {"use": "patch_16", "params": {"width": 16}},
    "losses": {"gan": {"params": {"mode": "lsgan"}}, "l1": 100},
    "optimizers": {"generator": {"lr": 2e-3}},
    "schedule": {"steps": 200},
    "engine": {"batch": 8, "device": "cpu"},
    "evaluate": {"metrics": ["l1"]},
}


def test_two_hundred_steps_halve_the_held_out_error(quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path)}
    begun = p2pkit.train(CONFIG, **options, **{"schedule.steps": 1}).report.metrics["l1"]
    trained = p2pkit.train(CONFIG, **options).report
    assert trained.metrics["l1"] < begun / 2
    assert trained.gains["l1"] > 0


def test_first_losses_are_those_on_file(quiet):
    """A change of these numbers is a change of what is learnt: it needs a reason, and a line in the changelog.

    Set P2PKIT_WRITE_GOLDEN=1 to write them anew.
    """
    assembly = assemble(check(resolve(load_config(CONFIG), quiet)))
    stored, _ = load_split(assembly.checked.dataset.pairs("train"))
    loader = Loader(stored, assembly.checked.spec, batch=8, place=assembly.place, shuffle=True)
    steps = [
        {name: value.item() for name, value in assembly.step([(batch.source, batch.target)], number).items()}
        for number, batch in zip(range(5), loader.epoch(), strict=False)
    ]
    if os.environ.get("P2PKIT_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(steps, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert len(steps) == len(golden) == 5
    for step, expected in zip(steps, golden, strict=True):
        assert step == pytest.approx(expected, rel=2e-3, abs=2e-4)
