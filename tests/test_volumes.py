"""Volumes whole: a run in three dimensions, from pairs to translated files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import p2pkit
from p2pkit.serving.models import load_models

PLUGIN = """
    import torch
    from torch import nn

    class Cubes:
        spec = p2pkit.PairSpec(p2pkit.ImageSpec(1), p2pkit.ImageSpec(2, low=-10, high=10), 12, 16, depth=8)
        splits = ("train", "val")

        def pairs(self, split):
            dice = torch.Generator().manual_seed(len(split))
            def pair(number):
                source = torch.randint(0, 256, (1, 8, 12, 16), generator=dice).to(torch.uint8)
                target = torch.cat([source, 255 - source]).float() / 25.5 - 5
                return p2pkit.Pair(source, target, f"{split}/{number}")
            return [pair(number) for number in range(6)]

    def cubes():
        return Cubes()

    def deep(images):
        return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.Conv3d(4, 2, 1), nn.Tanh())

    class Judge(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv3d(3, 1, 4, stride=2)

        def forward(self, source, image):
            return p2pkit.Verdict((self.layer(torch.cat([source, image], 1)),))

    def judge(images):
        return Judge()

    @p2pkit.hookimpl
    def p2pkit_datasets():
        yield p2pkit.Dataset("cubes", cubes)

    @p2pkit.hookimpl
    def p2pkit_generators():
        yield p2pkit.Generator("deep", deep)

    @p2pkit.hookimpl
    def p2pkit_discriminators():
        yield p2pkit.Discriminator("judge", judge)
"""
CONFIG = {
    "dataset": "cubes",
    "augment": ["flip", {"use": "jitter_crop", "params": {"load": 15}}],
    "generator": "deep",
    "discriminator": "judge",
    "losses": {"gan": 1, "l1": 100, "total_variation": 0.1, "gradient_penalty": 1},
    "schedule": {"steps": 3},
    "phases": [{"steps": 1, "size": 6}],
    "engine": {"batch": 2, "device": "cpu"},
    "evaluate": {"metrics": ["l1", "ssim"], "samples": 2, "every": 0, "batch_norm": "batch"},
}


@pytest.fixture
def plugin(write_plugin, tmp_path, monkeypatch):
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    monkeypatch.chdir(tmp_path)
    return write_plugin(PLUGIN)


def test_a_run_of_volumes(plugin, tmp_path):
    run = p2pkit.train(CONFIG, plugins=[plugin], evaluate={**CONFIG["evaluate"], "metrics": ["l1"]})
    assert run.step == 3
    assert set(run.report.baselines) == {"source", "mean"}
    assert run.report.protocol["size"] == "8x12x16"
    with Image.open(run.sheet) as sheet:
        assert sheet.width > 3 * 128
    model = p2pkit.load(run.checkpoint, plugins=[plugin], trust=True)
    volume = np.random.default_rng(0).integers(0, 256, (5, 7, 9, 1), dtype=np.uint8)
    np.save(tmp_path / "one.npy", volume)
    (fake,) = model.translate_files(tmp_path / "one.npy", tmp_path / "fakes")
    made = np.load(fake)
    assert (made.shape, made.dtype) == ((5, 7, 9, 2), np.float32)
    assert np.abs(made).max() <= 10
    with pytest.raises(p2pkit.ModelError, match="volumes"):
        p2pkit.export(run.checkpoint, tmp_path / "program", plugins=[plugin])
    with pytest.raises(p2pkit.ModelError, match="volumes"):
        load_models([str(run.checkpoint)], plugins=[plugin], trust=True)


def test_scores_of_volumes_are_those_of_their_slices():
    volume, other = np.random.default_rng(0).integers(0, 256, (2, 4, 12, 16, 1), dtype=np.uint8)
    pair = p2pkit.ImageFile(volume), p2pkit.ImageFile(other)
    slices = [torch.from_numpy(each[..., 0])[:, None] for each in (volume, other)]
    assert p2pkit.score("ssim", *pair) == pytest.approx(p2pkit.score("ssim", *slices))
    with pytest.raises(p2pkit.ConfigError, match="16 x 12 x 4 and 16 x 12 x 3"):
        p2pkit.score("l1", pair[0], p2pkit.ImageFile(other[:3]))


def test_what_volumes_can_not_have_is_said_before_training(plugin):
    wrong = {**CONFIG, "generator": {"use": "unet", "params": {"depth": 2, "width": 4}}, "augment": ["affine"]}
    with pytest.raises(p2pkit.ConfigError) as raised:
        p2pkit.train(wrong, plugins=[plugin])
    told = {problem.path: problem for problem in raised.value.problems}
    assert "volumes" in told["augment.0"].cause
    assert "three dimensions" in told["generator"].remedy
