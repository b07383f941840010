"""Where weights are looked for, and what is said of those that are missing or wrong."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from p2pkit import ComponentError, Weights, classifier_features, fill_weights, fingerprint
from p2pkit.weights.files import CHECKSUMS


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, no folder of weights, and a network that is down; returns the cache."""

    def fail(*_, **__):
        raise OSError("the network is down")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("P2PKIT_WEIGHTS", raising=False)
    monkeypatch.setattr("torch.hub.urlopen", fail)
    torch.hub.set_dir(tmp_path / "home" / "hub")
    yield tmp_path / "home" / "hub" / "checkpoints"
    torch.hub._hub_dir = None


@pytest.fixture
def bare(tmp_path):
    """A file of AlexNet's convolutional part with weights of no use."""
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None).features
    torch.save({f"features.{name}": weight for name, weight in network.state_dict().items()}, tmp_path / "bare.pth")
    return tmp_path / "bare.pth"


@pytest.mark.parametrize(
    ("network", "file", "checksum"),
    [
        ("vgg16", "vgg16-397923af.pth", CHECKSUMS["vgg16"]),
        ("alexnet", "alexnet-owt-7be5be79.pth", CHECKSUMS["alexnet"]),
        ("fcn_resnet50", "fcn_resnet50_coco-1167a1af.pth", "1167a1af..."),
    ],
)
def test_offline_and_missing(offline, network, file, checksum):
    with pytest.raises(ComponentError) as raised:
        Weights.of_torchvision(network).locate()
    error = raised.value
    assert "not on this machine, and their download failed: the network is down" in error.cause
    assert error.parameter == "weights"
    for part in (file, checksum, f"https://download.pytorch.org/models/{file}", str(offline), "P2PKIT_WEIGHTS"):
        assert part in error.remedy


def test_a_network_that_torchvision_does_not_have():
    with pytest.raises(ComponentError, match="no network 'vgg_16'"):
        Weights.of_torchvision("vgg_16")


def test_file_names_are_the_beginnings_of_the_checksums():
    for network, checksum in CHECKSUMS.items():
        assert f"-{checksum[:8]}." in Weights.of_torchvision(network).file
        assert len(checksum) == 64


def test_what_is_downloaded_is_checked(offline, monkeypatch):
    content = b"weights"
    checksum = hashlib.sha256(content).hexdigest()

    def write(address, file, hash_prefix, progress):
        assert (address, hash_prefix) == ("https://example.org/a/net.pth", checksum)
        Path(file).write_bytes(content)

    monkeypatch.setattr("torch.hub.download_url_to_file", write)
    weights = Weights("net", "https://example.org/a/net.pth", checksum)
    assert weights.locate() == offline / "net.pth"
    assert (offline / "net.pth").read_bytes() == content


def test_a_download_that_is_not_the_file_is_refused(offline, monkeypatch):
    def write(address, file, hash_prefix, progress):
        raise RuntimeError("invalid hash value")

    monkeypatch.setattr("torch.hub.download_url_to_file", write)
    with pytest.raises(ComponentError, match="invalid hash value"):
        Weights.of_torchvision("vgg16").locate()


def test_order_of_the_places(offline, tmp_path, monkeypatch):
    weights = Weights.of_torchvision("vgg16")
    offline.mkdir(parents=True)
    cached = offline / "vgg16-397923af.pth"
    cached.touch()
    assert weights.locate() == cached
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("P2PKIT_WEIGHTS", str(folder))
    assert weights.locate() == cached
    for name in ("vgg16.pth", "lpips_vgg16.safetensors", "vgg16.safetensors", "vgg16-397923af.pth"):
        (folder / name).touch()
        assert weights.locate() == folder / name
    given = tmp_path / "mine.pth"
    given.touch()
    assert weights.locate(given) == given


def test_a_path_that_leads_nowhere(tmp_path):
    with pytest.raises(ComponentError, match=r"there is no file .*none\.pth") as raised:
        Weights.of_torchvision("vgg19").locate(tmp_path / "none.pth")
    assert "vgg19-dcbb9e9d.pth" in raised.value.remedy


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all, whatever the name says"])
def test_a_file_that_is_damaged(tmp_path, suffix, content):
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(ComponentError, match="can't be read"):
        classifier_features("vgg16", file)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_of_another_network(bare, device):
    with torch.device(device), pytest.raises(ComponentError, match=r"does not hold the weights .* 0\.weight"):
        classifier_features("vgg16", bare)


def test_loading_draws_no_random_numbers(bare):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    features = classifier_features("alexnet", bare)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(features[0].weight, torch.load(bare)["features.0.weight"])


def test_whole_numbers_stay_whole():
    with torch.device("meta"):
        norm = nn.BatchNorm2d(2)
    fill_weights(norm, nn.BatchNorm2d(2).half().state_dict(), None)
    assert norm.num_batches_tracked.dtype == torch.int64
    assert norm.weight.dtype == torch.float32


def test_fingerprint_is_of_the_weights_alone(bare):
    first, second = classifier_features("alexnet", bare), classifier_features("alexnet", bare)
    assert fingerprint(first) == fingerprint(second)
    assert len(fingerprint(first)) == 12
    second[0].bias.data[0] += 1e-6
    assert fingerprint(first) != fingerprint(second)


def test_libraries_are_imported_when_they_are_needed():
    code = "import p2pkit.weights.networks, sys; print(sorted({'torchmetrics', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
