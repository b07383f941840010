"""The Python functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import p2pkit

TINY = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 8}},
    "generator": "unet_tiny",
    "discriminator": {"use": "patch", "params": {"layers": 1}},
    "losses": {"gan": 1, "l1": 100},
    "engine": {"batch": 4},
    "evaluate": {"metrics": ["l1"]},
    "schedule": {"epochs": 1},
}


@pytest.fixture(scope="module")
def trained(quiet, tmp_path_factory):
    return p2pkit.train(TINY, registry=quiet, **{"tracking.folder": str(tmp_path_factory.mktemp("runs"))})


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


def test_overrides_nested_and_dotted(quiet, tmp_path):
    run = p2pkit.train(
        TINY,
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
    with pytest.raises(p2pkit.RegistryError, match="no metric is called 'l11'"):
        p2pkit.score("l11", image, image)


def test_damaged_checkpoint_is_named(trained, quiet, tmp_path):
    (tmp_path / "run.yaml").write_bytes((trained.checkpoint / "run.yaml").read_bytes())
    (tmp_path / "state.json").write_bytes((trained.checkpoint / "state.json").read_bytes())
    (tmp_path / "generator.safetensors").write_bytes(b"nothing")
    with pytest.raises(p2pkit.ModelError, match=r"generator\.safetensors: can't be read"):
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
