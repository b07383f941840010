"""Weights as the Hugging Face Hub lays them out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import p2pkit
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.layout import GENERATOR
from p2pkit.engine.storage.state import described
from p2pkit.types import PairSpec

WEIGHTS, CONFIG = "model.safetensors", "config.json"
"""The files that `PyTorchModelHubMixin` reads."""


def lay_out(folder: Path, images: PairSpec) -> None:
    """Add to a folder of weights what `PyTorchModelHubMixin` reads: them by its name, and what makes the network.

    Args:
        folder: The folder.
        images: What the model was trained on.
    """
    try:
        os.link(folder / GENERATOR, folder / WEIGHTS)
    except OSError:  # on a disk without links
        shutil.copyfile(folder / GENERATOR, folder / WEIGHTS)
    generator = read_config(folder)["generator"]
    held = {"use": generator["use"], "params": generator.get("params", {}), "images": described(images)}
    text = json.dumps({**held, "p2pkit_version": p2pkit.__version__}, indent=2)
    (folder / CONFIG).write_text(text, encoding="utf-8")
