"""Make the module of other toolboxes' networks importable, and import their files without a tracker."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest
import torch

import p2pkit
from p2pkit.engine.storage.checkpoint import load_discriminator, read_config

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
WEIGHTS = Path(os.environ.get("P2PKIT_WEIGHTS", HERE.parents[1].parent / "shared" / "weights"))


@pytest.fixture
def save(tmp_path):
    """Save tensors as another toolbox would, and give the file."""

    def write(state, name="latest_net_G.pth"):
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def imported(tmp_path, quiet):
    """Import files into the folder `model`."""
    return functools.partial(p2pkit.import_checkpoint, output=tmp_path / "model", registry=quiet)


@pytest.fixture
def generator(quiet):
    """Load a model's generator, in evaluation mode."""
    return lambda model: p2pkit.load(model.folder, device="cpu", registry=quiet).generator.eval()


@pytest.fixture
def discriminator(quiet):
    """Load a model's discriminator, in evaluation mode."""

    def load(model):
        part = read_config(model.folder)["discriminator"]
        component = quiet.resolve("discriminator", part["use"]).offer.component
        network = component.build(model.images, part["params"])
        load_discriminator(model.folder, network)
        return network.eval()

    return load


@pytest.fixture
def reference_fixtures():
    """Give the folder of files that the reference's own code wrote, with what its networks computed."""
    folder = WEIGHTS / "reference_fixtures"
    if not folder.is_dir():
        pytest.skip(f"the reference's weights are not in {WEIGHTS}; P2PKIT_WEIGHTS says where they are")
    return folder


@pytest.fixture
def tiny():
    """A config of drawn shapes that trains in a moment."""
    return {
        "dataset": {"use": "shapes", "params": {"size": 32, "count": 8}},
        "losses": {"gan": 1, "l1": 100},
        "schedule": {"epochs": 1},
        "engine": {"batch": 4, "device": "cpu"},
        "evaluate": {"metrics": ["l1"], "samples": 2},
    }
