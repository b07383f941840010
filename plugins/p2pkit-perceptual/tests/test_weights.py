"""What is said of weights that are missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from p2pkit_perceptual.dists import Dists
from p2pkit_perceptual.lpips import Lpips
from p2pkit_perceptual.vgg import Vgg

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
    for part in (file, f"https://download.pytorch.org/models/{file}", str(offline), "P2PKIT_WEIGHTS"):
        assert part in error.remedy


def test_libraries_are_imported_when_they_are_needed():
    code = "import p2pkit_perceptual, sys; print(sorted({'torchmetrics', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
