"""Files that can't be imported are refused with the reason, and nothing is written."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from originals import Patch, UNet

from p2pkit import ConfigError, ModelError


class Malicious:
    """What pickle would run on loading."""

    def __reduce__(self):
        return os.mkdir, ("made_by_the_file",)


@pytest.fixture
def unet():
    return UNet.make(5, 2, "batch").junyanz()


@pytest.fixture
def refused(imported, tmp_path, monkeypatch):
    """Import in vain; give the message."""
    monkeypatch.chdir(tmp_path)

    def act(*files, **options):
        with pytest.raises(ModelError) as raised:
            imported(list(files), **options)
        assert not (tmp_path / "model").exists()
        return str(raised.value)

    return act


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_not_run(refused, unet, tmp_path, zipped):
    torch.save({**unet, "extra": Malicious()}, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
    message = refused(tmp_path / "bad.pth")
    assert "holds more than tensors (posix.mkdir), which could run code, so nothing of it was loaded" in message
    assert not (tmp_path / "made_by_the_file").exists()


def test_objects_of_other_packages(refused, save):
    assert "numpy" in refused(save({"state_dict": {}, "meta": np.float64(1)}))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated(refused, unet, tmp_path, share, zipped):
    path = tmp_path / "cut.pth"
    torch.save(unet, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cut.pth: is damaged or incomplete" in refused(path)


def test_truncated_safetensors(refused, tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(b"\x40\x00\x00\x00\x00\x00\x00\x00{}")
    assert "cut.safetensors: is damaged or incomplete" in refused(tmp_path / "cut.safetensors")


def test_not_even_a_checkpoint(refused, save, tmp_path):
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html><body>404</body></html>")
    assert "is a web page and no checkpoint" in refused(tmp_path / "page.pth")
    assert "does not exist" in refused(tmp_path / "gone.pth")
    assert "holds a list, not a state dict" in refused(save([1, 2]))
    assert "holds epoch (int), where" in refused(save({"epoch": 3}))


def test_unknown_layout(refused, save):
    message = refused(save({f"encoder.{i}.weight": torch.zeros(1) for i in range(9)}))
    assert "is of no known layout: 9 tensors, encoder.0.weight" in message
    assert "and 4 more" in message
    assert "known are junyanz U-Net, junyanz ResNet, mmgen U-Net, mmgen ResNet, erik U-Net" in message


def test_missing_unexpected_and_other_shapes(refused, save, unet):
    del unet["model.model.1.model.2.running_var"]
    unet["model.model.1.model.9.attention"] = torch.zeros(1)
    unet["model.model.1.model.1.weight"] = torch.zeros(5, 2, 4, 4)
    message = refused(save(unet))
    assert "looks like a generator of junyanz U-Net, but is not" in message
    assert "missing: model.model.1.model.2.running_var;" in message
    assert "unexpected: model.model.1.model.9.attention;" in message
    assert "of another shape: model.model.1.model.1.weight [5, 2, 4, 4]" in message


def test_half_a_network(refused, save, unet):
    assert "missing: model.model.3.weight" in refused(save({k: t for k, t in unet.items() if ".3." not in k}))
    assert "of another shape" in refused(save({**unet, "model.model.0.weight": torch.zeros(2)}))


def test_discriminators_that_do_not_belong(refused, save, unet):
    judge = save(Patch.make(3, 4, "batch").junyanz(), "latest_net_D.pth")
    message = refused(judge)
    assert "latest_net_D.pth: holds a discriminator (junyanz PatchGAN), and a model needs a generator" in message
    generator = save(unet)
    assert "a model has one generator, and these are 2" in refused(generator, generator)
    other = save(Patch.make(3, 4, "batch", 7).junyanz(), "other.pth")
    assert "judges 7 channels, and the generator makes 3 of 3" in refused(generator, other)


def test_all_files_are_looked_at(refused, tmp_path, save):
    message = refused(tmp_path / "gone.pth", save({"a": torch.zeros(1)}))
    assert "gone.pth" in message
    assert "no known layout" in message


def test_wrong_settings_and_a_folder_that_is_taken(imported, save, unet, tmp_path):
    with pytest.raises(ConfigError, match=r"evaluate\.drpout"):
        imported(save(unet), **{"evaluate.drpout": "on"})
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match="is there already"):
        imported(save(unet))
