"""Full-size networks of the other toolboxes' own code, where their repositories are at hand.

P2PKIT_ORIGINALS names a folder with clones of pytorch-CycleGAN-and-pix2pix and PyTorch-GAN.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch

import p2pkit

FOLDER = Path(os.environ.get("P2PKIT_ORIGINALS", "originals"))
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def clone(name):
    if not (FOLDER / name).is_dir():
        pytest.skip(f"there is no clone of {name} in {FOLDER}; P2PKIT_ORIGINALS says where it is")
    return FOLDER / name


def module_at(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def junyanz(monkeypatch):
    """The reference's modules `networks` and `base_model`."""
    monkeypatch.syspath_prepend(str(clone("pytorch-CycleGAN-and-pix2pix")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from models import base_model, networks
    yield types.SimpleNamespace(networks=networks, base_model=base_model)
    for name in [name for name in sys.modules if name.partition(".")[0] == "models"]:
        del sys.modules[name]


def stir(network):
    """Give a network statistics and norms that are not the initial ones."""
    torch.manual_seed(1)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.2)
    return network.eval()


def difference(one, other):
    return (one - other).abs().max().item()


def report(capsys, name, value):
    with capsys.disabled():
        print(f"\n{name}: largest difference {value:.1e}")


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(
    ("network", "dropout"), [("unet_256", True), ("resnet_9blocks", False), ("resnet_9blocks", True)]
)
@torch.no_grad()
def test_junyanz(junyanz, imported, generator, save, tmp_path, capsys, network, dropout, norm):
    define = functools.partial(junyanz.networks.define_G, 3, 3, 64, network, norm, dropout)
    original = stir(define())
    source = torch.rand(1, 3, 256, 256) * 2 - 1
    model = imported(save(original.state_dict()))
    found = difference(generator(model)(source), original(source))
    report(capsys, f"{network}, {norm}, dropout {dropout}, imported", found)
    assert found <= 1e-6

    written = p2pkit.export_checkpoint(model.folder, tmp_path / "checkpoints" / "mine" / "latest_net_G.pth")
    fresh = define()
    theirs = argparse.Namespace(
        opt=None, save_dir=str(written.path.parent), device="cpu", netG=fresh, model_names=["G"]
    )
    theirs._BaseModel__patch_instance_norm_state_dict = functools.partial(
        junyanz.base_model.BaseModel._BaseModel__patch_instance_norm_state_dict, theirs
    )
    junyanz.base_model.BaseModel.load_networks(theirs, "latest")
    found = difference(fresh.eval()(source), original(source))
    report(capsys, f"{network}, {norm}, dropout {dropout}, exported and loaded by their code", found)
    assert found <= 1e-6


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(("kind", "layers"), [("basic", 3), ("n_layers", 5), ("pixel", 0)])
@torch.no_grad()
def test_discriminators_of_junyanz(junyanz, imported, discriminator, save, capsys, kind, layers, norm):
    original = stir(junyanz.networks.define_D(6, 64, kind, layers, norm))
    generator = junyanz.networks.define_G(3, 3, 8, "unet_256", norm)
    model = imported([save(generator.state_dict()), save(original.state_dict(), "latest_net_D.pth")])
    source, image = torch.rand(2, 1, 3, 256, 256) * 2 - 1
    found = difference(discriminator(model)(source, image).logits[0], original(torch.cat([source, image], 1)))
    report(capsys, f"{kind} {layers}, {norm}", found)
    assert found <= 1e-6


@torch.no_grad()
def test_erik(imported, generator, discriminator, save, capsys):
    models = module_at(clone("PyTorch-GAN") / "implementations" / "pix2pix" / "models.py", "erik_models")
    unet, judge = stir(models.GeneratorUNet()), stir(models.Discriminator())
    model = imported([save(unet.state_dict()), save(judge.state_dict(), "discriminator.pth")])
    source, image = torch.rand(2, 1, 3, 256, 256) * 2 - 1
    found = difference(generator(model)(source), unet(source))
    judged = difference(discriminator(model)(source, image).logits[0], judge(image, source))
    report(capsys, "erik's U-Net and PatchGAN", max(found, judged))
    assert max(found, judged) <= 1e-6
