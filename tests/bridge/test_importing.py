"""Imported networks compute what the originals do, and say where they come from."""

from __future__ import annotations

import json
from hashlib import sha256

import numpy as np
import pytest
import torch
from originals import Erik, ErikPatch, Patch, Pixel, ResNet, UNet
from PIL import Image
from safetensors.torch import save_file

import p2pkit
from p2pkit import ConfigError, ModelError
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.state import read_state

ATOL = 1e-6
RECORDED = {"atol": 1e-5, "rtol": 1e-5}
"""What another processor recorded was added up in another order: up to 5e-6 apart on one without AVX-512."""


def images(side, channels=3, count=1):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def assert_same(computed, wanted):
    assert wanted.std() > 0.03  # an output that is saturated or flat would show nothing
    assert (wanted.abs() < 0.99).float().mean() > 0.3
    torch.testing.assert_close(computed, wanted, atol=ATOL, rtol=0)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("depth", "channels"), [(5, (3, 3)), (7, (1, 2)), (8, (3, 3))])
@torch.no_grad()
def test_unet_of_junyanz(save, imported, generator, norm, depth, channels):
    original = UNet.make(depth, 2, norm, *channels)
    model = imported(save(original.junyanz()))
    expected = {"depth": depth, "width": 2, "norm": norm, "dropout": 0.5}
    assert model.generator.params == expected | ({"bias": False} if norm == "none" else {})
    source = images(2**depth, channels[0])
    assert_same(generator(model)(source), original(source))
    assert (model.batch_norm, model.dropout) == ("batch" if norm == "batch" else "running", "on")


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("blocks", "dropout"), [(6, True), (9, False)])
@torch.no_grad()
def test_resnet_of_junyanz(save, imported, generator, norm, blocks, dropout):
    original = ResNet.make(blocks, 2, norm)
    model = imported(save(original.junyanz(dropout=dropout)))
    assert model.generator.params["blocks"] == blocks
    assert model.generator.params["dropout"] == (0.5 if dropout else 0.0)
    source = images(32)
    assert_same(generator(model)(source), original(source))
    assert model.dropout == ("on" if dropout else "off")


@pytest.mark.parametrize("kind", ["unet", "resnet", "resnet_dropout"])
@torch.no_grad()
def test_generators_of_mmgen_see_colours_in_our_order(save, imported, generator, kind):
    original = UNet.make(5, 2, "batch") if kind == "unet" else ResNet.make(4, 2, "instance")
    state = original.mmgen() if kind == "unet" else original.mmgen(dropout=kind == "resnet_dropout")
    judge = Patch.make(3, 4, "batch").mmgen()
    whole = {f"generators.photo.{key}": tensor for key, tensor in state.items()}
    whole |= {f"discriminators.photo.{key}": tensor for key, tensor in judge.items()}
    model = imported(save({"meta": {"epoch": 3}, "state_dict": whole}))
    original.layers.state = {key: tensor.double() for key, tensor in original.layers.state.items()}
    source = images(32).double()  # another order of a sum makes a difference in single precision
    assert_same(generator(model).double()(source), original(source.flip(1)).flip(1))
    assert model.generator.channels == "bgr"
    assert model.discriminator.layout == "mmgen PatchGAN"


@torch.no_grad()
def test_colours_of_mmgen_can_be_said_to_be_in_order(save, imported, generator):
    original = UNet.make(5, 2, "batch")
    model = imported(save(original.mmgen()), channels="rgb")
    assert_same(generator(model)(images(32)), original(images(32)))


def test_one_of_several_generators_of_mmgen(save, imported):
    state = {
        f"generators.{domain}.{k}": t
        for domain in ("map", "photo")
        for k, t in UNet.make(5, 2, "batch").mmgen().items()
    }
    path = save(state)
    with pytest.raises(ModelError, match=r"map, photo\n.*--domain map"):
        imported(path)
    assert imported(path, domain="photo").generator.params["depth"] == 5


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@torch.no_grad()
def test_unet_of_erik(save, imported, generator, tmp_path, suffix):
    original = Erik.make(8, 2)
    path = save(original.layers.state)
    if suffix == "safetensors":
        path = tmp_path / "model.safetensors"
        save_file(original.layers.state, path)
    model = imported(path)
    assert model.generator.use == "p2pkit:unet_blog"
    assert_same(generator(model)(images(256)), original(images(256)))
    assert model.dropout == "off"


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("halvings", [1, 3, 4])
@torch.no_grad()
def test_patchgan_of_junyanz(save, imported, discriminator, norm, halvings):
    original = Patch.make(halvings, 4, norm)
    files = [save(UNet.make(6, 1, norm).junyanz()), save(original.junyanz(), "latest_net_D.pth")]
    model = imported(files)
    assert (model.discriminator.params["layers"], model.discriminator.params["norm"]) == (halvings, norm)
    source, image = images(64), images(64).flip(3)
    judged = discriminator(model)(source, image).logits[0]
    torch.testing.assert_close(judged, original(torch.cat([source, image], 1)), atol=ATOL, rtol=1e-5)


@torch.no_grad()
def test_other_discriminators(save, imported, discriminator, tmp_path):
    source, image = images(64), images(64).flip(3)
    unet = UNet.make(5, 2, "batch")
    cases = {
        "pixel": (Pixel.make(4, "batch"), Pixel.make(4, "batch").junyanz(), [source, image]),
        "erik": (ErikPatch.make(4), ErikPatch.make(4).layers.state, [image, source]),
        "unconditional": (Patch.make(3, 4, "instance", 3), Patch.make(3, 4, "instance", 3).junyanz(), [image]),
        "mmgen": (Patch.make(3, 4, "batch"), Patch.make(3, 4, "batch").mmgen(), [source.flip(1), image.flip(1)]),
    }
    for name, (original, state, seen) in cases.items():
        model = imported([save(unet.junyanz()), save(state, f"{name}.pth")], output=tmp_path / name)
        judged = discriminator(model)(source, image).logits[0]
        torch.testing.assert_close(judged, original(torch.cat(seen, 1)), atol=ATOL, rtol=1e-5, msg=name)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("network", ["unet_256_ngf2", "unet_128_ngf2", "resnet_6blocks_ngf2"])
@torch.no_grad()
def test_files_that_the_reference_wrote(reference_fixtures, imported, generator, network, norm):
    model = imported(reference_fixtures / f"{network}_{norm}.pth")
    arrays = np.load(reference_fixtures / f"{network}_{norm}_io.npz")
    source, fake = torch.from_numpy(arrays["x_uint8"]) / 127.5 - 1, torch.from_numpy(arrays["y"])
    torch.testing.assert_close(generator(model)(source), fake, **RECORDED)


@pytest.mark.parametrize("network", ["patchgan70_ndf4_batch", "patchgan70_ndf4_instance", "pixelgan_ndf4_batch"])
@torch.no_grad()
def test_discriminators_that_the_reference_wrote(reference_fixtures, save, imported, discriminator, network):
    model = imported([save(UNet.make(8, 2, "batch").junyanz()), reference_fixtures / f"{network}.pth"])
    arrays = np.load(reference_fixtures / f"{network}_io.npz")
    source = torch.from_numpy(arrays["x_uint8"]) / 127.5 - 1
    pair = source if source.shape[1] == 6 else torch.cat([source, source.flip(3)], 1)
    judged = discriminator(model)(pair[:, :3], pair[:, 3:]).logits[0]
    torch.testing.assert_close(judged, torch.from_numpy(arrays["y"]), **RECORDED)


def test_old_files(save, imported, generator):
    """Wrapped for several GPUs, without counts of batches, in half precision, in the format of before 2020."""
    original = UNet.make(5, 2, "batch")
    state = {f"module.{k}": t.half() for k, t in original.junyanz().items() if "num_batches" not in k}
    path = save({})
    torch.save(state, path, _use_new_zipfile_serialization=False)
    network = generator(imported(path))
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in network.state_dict().values())
    with torch.no_grad():
        torch.testing.assert_close(network(images(32)), original(images(32)), atol=0.02, rtol=0)


def test_statistics_of_old_instance_norms_are_left_out(save, imported, generator):
    original = UNet.make(5, 2, "instance")
    state = original.junyanz()
    state |= {"model.model.1.model.2.running_mean": torch.ones(4), "model.model.1.model.2.running_var": torch.ones(4)}
    with torch.no_grad():
        assert_same(generator(imported(save(state)))(images(32)), original(images(32)))


def test_the_model_says_where_it_comes_from(save, imported, tmp_path):
    path = save(UNet.make(5, 2, "batch").junyanz())
    imported(path, **{"dataset.params.root": str(tmp_path), "evaluate.batch_norm": "running"})
    config, state = read_config(tmp_path / "model"), read_state(tmp_path / "model")
    digest = sha256(path.read_bytes()).hexdigest()
    assert config["origin"] == f"generator from latest_net_G.pth (junyanz U-Net, SHA-256 {digest})"
    assert config["generator"]["use"] == "p2pkit:unet"
    assert config["evaluate"]["batch_norm"] == "running"
    assert json.dumps(state["imported"][0]["params"]) == '{"depth": 5, "width": 2, "norm": "batch", "dropout": 0.5}'
    assert state["imported"][0]["sha256"] == digest


def test_dropout_that_keys_do_not_tell(save, imported, tmp_path):
    path = save(UNet.make(8, 1, "batch").junyanz())
    assert imported(path, dropout=False).generator.params["dropout"] == 0.0
    assert read_config(tmp_path / "model")["evaluate"]["dropout"] == "off"
    with pytest.raises(ModelError, match="its keys are those of a network without dropout"):
        imported(save(ResNet.make(6, 1, "batch").junyanz()), output=tmp_path / "other", dropout=True)


def test_a_model_is_used_like_any_checkpoint(save, imported, quiet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported(save(UNet.make(5, 2, "batch").junyanz()))
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    fake = p2pkit.load("model", device="cpu", registry=quiet).translate(Image.fromarray(picture))
    assert fake.size == (50, 40)
    shapes = {"dataset": {"use": "shapes", "params": {"size": 32, "count": 6}}, "engine.device": "cpu"}
    scored = p2pkit.evaluate("model", registry=quiet, **shapes)
    assert scored.folder.parent == tmp_path.relative_to(tmp_path) / "model" / "evaluations"
    assert scored.report.protocol["batch_norm"] == "batch"
    with pytest.raises(ConfigError, match=r"dataset\.params\.root"):
        p2pkit.evaluate("model", registry=quiet)
    with pytest.raises(ModelError, match="does not lie in a run's folder"):
        p2pkit.resume("model", registry=quiet)


def test_mlflow_loads_a_model(save, imported, tmp_path):
    import mlflow

    from p2pkit.builtin.mlflow_tracker.model_folder import Contents, write_model

    model = imported(save(ResNet.make(6, 1, "instance").junyanz()))
    images = p2pkit.load(model.folder).images
    write_model(tmp_path / "mlflow", Contents(model.folder, images, requirements=(), portable=False))
    fakes = mlflow.pyfunc.load_model(str(tmp_path / "mlflow")).predict(np.zeros((2, 16, 16, 3), np.uint8))
    assert fakes.shape == (2, 16, 16, 3)


def test_a_model_among_the_runs_is_found_by_its_name(save, imported, quiet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported(save(UNet.make(5, 1, "batch").junyanz()), output="runs/theirs")
    assert p2pkit.load("theirs", device="cpu", registry=quiet).images.height == 32
