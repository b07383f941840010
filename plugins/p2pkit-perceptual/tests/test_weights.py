"""Where weights are looked for, and what is said of those that are missing or wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from p2pkit_perceptual.dists import Dists
from p2pkit_perceptual.lpips import Lpips
from p2pkit_perceptual.vgg import Vgg
from p2pkit_perceptual.weights import CHECKSUMS, classifier_features, locate, source

from p2pkit import ComponentError


@pytest.mark.parametrize(
    ("loss", "params", "file"),
    [
        (Vgg, {}, "vgg19-dcbb9e9d.pth"),
        (Vgg, {"network": "vgg16"}, "vgg16-397923af.pth"),
        (Lpips, {"network": "alexnet"}, "alexnet-owt-7be5be79.pth"),
        (Dists, {}, "vgg16-397923af.pth"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_offline_and_missing(spec, offline, loss, params, file, device):
    with torch.device(device), pytest.raises(ComponentError) as raised:
        loss(spec(), **params)
    error = raised.value
    assert "not on this machine, and their download failed: the network is down" in error.cause
    assert error.parameter == "weights"
    checksum = next(value for value in CHECKSUMS.values() if value.startswith(file.split("-")[-1][:8]))
    for part in (file, checksum, f"https://download.pytorch.org/models/{file}", str(offline), "P2PKIT_WEIGHTS"):
        assert part in error.remedy


def test_file_names_are_the_beginnings_of_the_checksums():
    for network, checksum in CHECKSUMS.items():
        assert f"-{checksum[:8]}." in source(network)
        assert len(checksum) == 64


def test_a_download_that_is_not_the_file_is_refused(offline, monkeypatch):
    def write(address, file, hash_prefix, progress):
        assert hash_prefix == CHECKSUMS["vgg16"]
        raise RuntimeError("invalid hash value")

    monkeypatch.setattr("torch.hub.download_url_to_file", write)
    with pytest.raises(ComponentError, match="invalid hash value"):
        locate("vgg16", None)


def test_order_of_the_places(offline, tmp_path, monkeypatch):
    offline.mkdir(parents=True)
    cached = offline / "vgg16-397923af.pth"
    cached.touch()
    assert locate("vgg16", None) == cached
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("P2PKIT_WEIGHTS", str(folder))
    assert locate("vgg16", None) == cached
    for name in ("lpips_vgg16.safetensors", "vgg16.safetensors", "vgg16-397923af.pth"):
        (folder / name).touch()
        assert locate("vgg16", None) == folder / name
    given = tmp_path / "mine.pth"
    given.touch()
    assert locate("vgg16", given) == given


def test_a_path_that_leads_nowhere(tmp_path):
    with pytest.raises(ComponentError, match=r"there is no file .*none\.pth") as raised:
        locate("vgg19", tmp_path / "none.pth")
    assert "vgg19-dcbb9e9d.pth" in raised.value.remedy


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all, whatever the name says"])
def test_a_file_that_is_damaged(tmp_path, suffix, content):
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(ComponentError, match="can't be read"):
        classifier_features("vgg16", file)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_of_another_network(random_weights, device):
    file = random_weights("alexnet")
    with torch.device(device), pytest.raises(ComponentError, match=r"does not hold the weights .* 0\.weight"):
        classifier_features("vgg16", file)


def test_loading_draws_no_random_numbers(random_weights):
    file = random_weights("alexnet")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    features = classifier_features("alexnet", file)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(features[0].weight, torch.load(file)["features.0.weight"])


def test_libraries_are_imported_when_they_are_needed():
    code = "import p2pkit_perceptual, sys; print(sorted({'torchmetrics', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
