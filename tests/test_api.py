"""The Python functions."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from PIL import Image

import p2pkit
from p2pkit.images import formats


@pytest.fixture(scope="module")
def trained(tiny, quiet, tmp_path_factory):
    return p2pkit.train(tiny, registry=quiet, **{"tracking.folder": str(tmp_path_factory.mktemp("runs"))})


def test_train_load_translate(trained):
    fake = trained.load().translate(np.zeros((40, 56, 3), np.uint8))
    assert fake.shape == (40, 56, 3)
    assert fake.dtype == np.uint8


def test_a_loaded_model_needs_nothing_but_its_checkpoint(trained, quiet, tmp_path):
    moved = tmp_path / "model"
    moved.mkdir()
    for name in ("generator.safetensors", "state.json", "run.yaml"):
        (moved / name).write_bytes((trained.checkpoint / name).read_bytes())
    image = np.full((16, 16, 3), 200, np.uint8)
    np.testing.assert_array_equal(p2pkit.load(moved, registry=quiet).translate(image), trained.load().translate(image))


def test_a_device_that_is_not_here_is_told_so(trained, quiet):
    with pytest.raises(p2pkit.DeviceError, match=r"engine\.device: there is no cuda:99 here"):
        p2pkit.load(trained.folder, device="cuda:99", registry=quiet)


def test_evaluate_gives_the_trainings_scores(trained, quiet):
    evaluated = p2pkit.evaluate(trained.folder, registry=quiet)
    assert evaluated.report.metrics == pytest.approx(trained.report.metrics)
    assert evaluated.sheet.is_file()


def test_a_tiny_config_runs_on_defaults(quiet, tmp_path):
    config = {"dataset": {"use": "shapes", "params": {"size": 16, "count": 2}}, "generator": "unet_tiny"}
    config |= {"discriminator": "pixel", "losses": {"gan": 1, "l1": 100}}
    checked = p2pkit.api.check(config, registry=quiet)
    assert checked.plan.config.schedule.length == 200
    run = p2pkit.train(config, registry=quiet, **{"tracking.folder": str(tmp_path), "schedule.steps": 2})
    assert run.step == 2
    assert set(run.report.metrics) == {"l1", "psnr", "ssim"}


def test_overrides_nested_and_dotted(tiny, quiet, tmp_path):
    run = p2pkit.train(
        tiny,
        registry=quiet,
        losses={"l1": 7, "gan": None},
        tracking={"folder": str(tmp_path), "name": "here"},
        **{"engine.seed": 3},
    )
    config = (run.folder / "run.yaml").read_text()
    assert run.folder == tmp_path / "here"
    assert "weight: 7.0" in config
    assert "gan" not in config.partition("losses:")[2].partition("optimizers:")[0]
    assert "seed: 3" in config


def test_score(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 24, 3), dtype=np.uint8)
    assert p2pkit.score("l1", image, image) == 0
    assert p2pkit.score("ssim", image, image) == pytest.approx(1, abs=1e-5)
    assert p2pkit.score("l1", np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)) == pytest.approx(2)
    Image.fromarray(image).save(tmp_path / "a.png")
    tensor = torch.from_numpy(255 - image).permute(2, 0, 1)
    assert p2pkit.score("l1", tmp_path / "a.png", tensor) == p2pkit.score("l1", image, 255 - image)
    with pytest.raises(p2pkit.ConfigError, match="of different sizes, 24 x 32 and 8 x 8"):
        p2pkit.score("l1", image, image[:8, :8])
    with pytest.raises(p2pkit.ConfigError, match="can't be compared: one has 5 channels"):
        p2pkit.score("l1", image[..., [0, 1, 2, 0, 1]], image)
    (tmp_path / "bad.png").write_text("none")
    for name, cause in (("gone.png", "No such file"), ("bad.png", "not an image")):
        with pytest.raises(p2pkit.DataError, match=f"{name}: can't be read: {cause}"):
            p2pkit.score("l1", tmp_path / name, image)
    with pytest.raises(p2pkit.RegistryError, match="no metric is called 'l11'"):
        p2pkit.score("l11", image, image)


def test_damaged_checkpoint_is_named(trained, quiet, tmp_path):
    (tmp_path / "run.yaml").write_bytes((trained.checkpoint / "run.yaml").read_bytes())
    (tmp_path / "state.json").write_bytes((trained.checkpoint / "state.json").read_bytes())
    (tmp_path / "generator.safetensors").write_bytes(b"nothing")
    with pytest.raises(p2pkit.ModelError, match=r"generator\.safetensors: is damaged: it is not what was written"):
        p2pkit.load(tmp_path, registry=quiet)
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(p2pkit.ModelError, match=r"state\.json: can't be used"):
        p2pkit.load(tmp_path, registry=quiet)


def test_score_of_folders_and_batches(tmp_path):
    dice = np.random.default_rng(0)
    pictures = dice.integers(0, 256, (2, 3, 16, 16, 3), dtype=np.uint8)
    for folder, images in zip(("fakes", "targets"), pictures, strict=True):
        (tmp_path / folder).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / folder / f"{index}.png")
    expected = np.abs(pictures[0].astype(float) - pictures[1]).mean() / 127.5
    assert p2pkit.score("l1", tmp_path / "fakes", str(tmp_path / "targets")) == pytest.approx(expected, rel=1e-5)
    first, second = (torch.from_numpy(images).permute(0, 3, 1, 2) for images in pictures)
    assert p2pkit.score("l1", first, second) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(p2pkit.DataError, match="3 images and 2"):
        p2pkit.score("l1", first, second[:2])
    with pytest.raises(p2pkit.DataError, match="one is a folder"):
        p2pkit.score("l1", tmp_path / "fakes", tmp_path / "targets" / "0.png")
    (tmp_path / "targets" / "0.png").rename(tmp_path / "targets" / "zero.png")
    with pytest.raises(p2pkit.DataError, match="0 is in one of the folders only"):
        p2pkit.score("l1", tmp_path / "fakes", tmp_path / "targets")


def test_score_refuses_a_metric_that_compares_something_else():
    image = torch.zeros(3, 16, 16)
    with pytest.raises(p2pkit.ConfigError, match="diversity wants fakes"):
        p2pkit.score("diversity", image, image, params={"distance": "l1"})


def test_a_file_is_a_plugin_in_python_too(write_plugin, tmp_path, monkeypatch):
    code = """
        import torch
        from torch import nn

        class Shade(nn.Module):
            '''One factor and one bias.'''
            def __init__(self, images):
                super().__init__()
                self.layer = nn.Conv2d(images.source.channels, images.target.channels, 1)
            def forward(self, source): return self.layer(source).tanh()

        @p2pkit.hookimpl
        def p2pkit_generators(): yield p2pkit.Generator("shade", Shade)
    """
    monkeypatch.chdir(tmp_path)
    file = write_plugin(code, "shades")
    config = {"dataset": {"use": "shapes", "params": {"size": 16, "count": 4}}, "generator": "shade"}
    checked = p2pkit.check(config, plugins=[file], discriminator="patch_16")
    assert checked.generator.component.full_name == "shades:shade"
    with pytest.raises(p2pkit.PluginError, match="there is no such file"):
        p2pkit.check(config, plugins=["nowhere.py"])


def test_a_registry_has_its_plugins_already(quiet):
    with pytest.raises(p2pkit.RegistryError, match="give either a registry or plugins"):
        p2pkit.check("demo", registry=quiet, plugins=["mine.py"])


def test_a_caller_may_end_a_training_after_an_evaluation(tiny, quiet, tmp_path):
    heard = []

    def listen(progress, report):
        heard.append((progress.epoch, sorted(report.metrics)))
        return "that will do" if progress.epoch == 1 else None

    config = {**tiny, "evaluate": {**tiny["evaluate"], "every": 1}, "tracking": {"folder": str(tmp_path)}}
    run = p2pkit.train(config, registry=quiet, on_evaluated=listen)
    assert heard == [(0, ["l1"]), (1, ["l1"])]
    assert run.reason == "stopped early at step 3: that will do"
    assert p2pkit.resume(run.folder, registry=quiet).step == 6


def test_sources_of_an_exported_program_are_read_by_plugins_too(write_plugin, monkeypatch):
    monkeypatch.setattr("p2pkit.translation.is_exported", lambda folder: True)
    monkeypatch.setattr("p2pkit.translation.load_exported", lambda folder, runtime: None)
    for name in ("p2pkit.images.formats._FORMATS", "p2pkit.images.formats.SUFFIXES"):
        module, _, own = name.rpartition(".")
        monkeypatch.setattr(name, getattr(importlib.import_module(module), own).copy())
    code = """
    @p2pkit.hookimpl
    def p2pkit_readers(): yield p2pkit.Reader("asks", object, suffixes=(".asks",))
    """
    p2pkit.load("program", plugins=[write_plugin(code)])
    assert "acme:asks" in formats._FORMATS
