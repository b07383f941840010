"""Runs as their folders have them, made up in a moment."""

from __future__ import annotations

import copy
import os

import numpy as np
import pytest
import yaml

from p2pkit.engine.storage.evaluations import save_evaluation
from p2pkit.types import Report, Samples

CONFIG = {
    "summary": "A test.",
    "dataset": {"use": "p2pkit:shapes", "alias": "shapes", "params": {"size": 16}, "unreadable": "stop"},
    "augment": [{"use": "p2pkit:flip", "alias": "flip", "params": {"p": 0.5}}],
    "generator": {"use": "p2pkit:unet", "alias": "unet_64", "params": {"depth": 6, "width": 64}},
    "losses": {
        "gan": {"use": "p2pkit:gan", "alias": "gan", "params": {"mode": "lsgan"}, "weight": 1.0, "every": 1},
        "l1": {"use": "p2pkit:l1", "alias": "l1", "params": {}, "weight": 100.0, "every": 1},
    },
    "engine": {"batch": 4, "seed": 0, "clip": None},
    "evaluate": {"every": 1},
    "tracking": {"experiment": "weights", "name": None},
}
PROTOCOL = {"split": "val", "count": 8, "batch_norm": "running"}


def set_key(config, path, value):
    *parents, last = path.split(".")
    for name in parents:
        config = config[name]
    config[last] = value


@pytest.fixture
def made(tmp_path):
    """Write a run: `made("first", {"losses.l1.weight": 10}, l1=0.3)`; returns its folder."""

    def make(name, changes=None, *, steps=(0, 10), protocol=PROTOCOL, colour=128, **metrics):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        config = copy.deepcopy(CONFIG)
        for path, value in (changes or {}).items():
            set_key(config, path, value)
        (folder / "run.yaml").write_text(yaml.safe_dump(config))
        os.utime(folder / "run.yaml", (1000, 1000))
        for step in steps:
            sheet = folder / "samples" / f"step-{step:08}.png"
            score(sheet, protocol, colour, {name: value + (steps[-1] - step) for name, value in metrics.items()})
            os.utime(sheet.with_suffix(".json"), (1060 + 6 * step, 1060 + 6 * step))
        return folder

    return make


def score(sheet, protocol, colour, metrics):
    """Write an evaluation of two pairs; the fake is of one colour."""
    pictures = tuple(
        np.concatenate([np.full((16, 16, 3), value, np.uint8) for value in (0, colour, 255)], axis=1) for _ in range(2)
    )
    higher = {"l1": False, "psnr": True, "odd": None}
    report = Report(
        protocol["split"], 8, metrics, higher_is_better={name: higher[name] for name in metrics}, protocol=protocol
    )
    save_evaluation(report, Samples(("one", "two"), pictures, sheet))


@pytest.fixture
def scored():
    """Score a run's checkpoint later: `scored(folder, protocol, step=10, l1=0.2)`."""

    def make(folder, protocol, step=10, **metrics):
        name = f"{protocol['split']}-20260101-{len(list(folder.glob('evaluations/*')))}"
        sheet = folder / "evaluations" / name / "samples" / f"{protocol['split']}-step-{step:08}.png"
        score(sheet, protocol, 64, metrics)

    return make
