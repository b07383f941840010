"""What lies in a run's folder, and who needs which of it."""

from __future__ import annotations

import shutil

import numpy as np

import p2pkit


def test_a_copy_without_the_state_of_training_is_used_as_the_whole_is(work, quiet, tmp_path):
    """All that is switched on leaves its file."""
    options = {"evaluate.batch_norm": "recalibrated", "engine.ema": 0.5, "checkpoint.best": "l1", "schedule.epochs": 1}
    whole = work(**options).train().checkpoint
    (tmp_path / "copy").mkdir()
    (whole / ".run.yaml.partial").touch()
    for file in p2pkit.inference_files(whole):
        shutil.copy2(file, tmp_path / "copy")
    there = {file.name for file in whole.iterdir()} - {file.name for file in (tmp_path / "copy").iterdir()}
    assert there == {"training.safetensors", ".run.yaml.partial"}
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    fakes = [p2pkit.load(folder, registry=quiet).translate(image) for folder in (whole, tmp_path / "copy")]
    np.testing.assert_array_equal(*fakes)
