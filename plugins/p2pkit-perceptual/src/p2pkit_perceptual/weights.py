"""Weights of the classifiers whose features are compared: where they are, and into the network with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from p2pkit import ComponentError

FOLDER = "P2PKIT_WEIGHTS"
"""The environment variable that names a folder of weights."""

CHECKSUMS = {
    "alexnet": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "vgg16": "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "vgg19": "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
}
"""SHA-256 of torchvision's files; it makes their names of the first eight digits."""

WeightsFile = Annotated[
    Path | None,
    Field(description="File with torchvision's weights of the network; by default it is looked for and downloaded."),
]


def source(network: str) -> str:
    """Return the address of torchvision's weights."""
    from torchvision.models import get_model_weights

    address: str = get_model_weights(network).DEFAULT.url
    return address


def locate(network: str, weights: Path | None) -> Path:
    """Find a network's weights: the file given, else in P2PKIT_WEIGHTS, else in torch's cache, else by download.

    Args:
        network: Name of torchvision's network.
        weights: The file given, if one is.

    Returns:
        The file.

    Raises:
        ComponentError: The file is not there, or the download failed.
    """
    if weights is not None:
        weights = weights.expanduser()
        if not weights.is_file():
            raise ComponentError(f"there is no file {weights}", remedy=_remedy(network), parameter="weights")
        return weights
    address = source(network)
    cached = Path(torch.hub.get_dir(), "checkpoints", address.rpartition("/")[2])
    folder = os.environ.get(FOLDER)
    names = (cached.name, f"{network}.safetensors", f"lpips_{network}.safetensors")
    candidates = [*(Path(folder, name) for name in names if folder), cached]
    found = next((file for file in candidates if file.is_file()), None)
    return found or _download(network, address, cached)


def _download(network: str, address: str, file: Path) -> Path:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(file), hash_prefix=CHECKSUMS[network], progress=False)
    except (OSError, RuntimeError, HTTPException) as error:
        cause = f"the weights of {network} are not on this machine, and their download failed: {error}"
        raise ComponentError(cause, remedy=_remedy(network), parameter="weights") from error
    return file


def _remedy(network: str) -> str:
    address = source(network)
    name, cache = address.rpartition("/")[2], Path(torch.hub.get_dir(), "checkpoints")
    return (
        f"get {name} (sha256 {CHECKSUMS[network]}) from {address} and put it into {cache} "
        f"or into the folder that {FOLDER} names, or give its path as weights"
    )


def read(file: Path) -> dict[str, Tensor]:
    """Read a file of weights to the CPU, whatever the default device is.

    Raises:
        ComponentError: It can't be read.
    """
    try:
        with torch.device("cpu"):
            return _tensors(file)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        cause = f"{file} can't be read: {str(error).partition(chr(10))[0]}"
        remedy = "give a state dict saved by torch or safetensors; a download that broke off has to be repeated"
        raise ComponentError(cause, remedy=remedy, parameter="weights") from error


def _tensors(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file, device="cpu")
        except SafetensorError as error:
            raise OSError(str(error)) from error
    state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}, not a state dict")
    return state


def fill(network: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Give a network that was built on the meta device its weights; where p2pkit checks shapes, compare these only.

    Args:
        network: The network, on the meta device.
        state: Weights under the network's own names; others are left out.
        file: Where they come from, for the error.

    Raises:
        ComponentError: Weights are missing or of other shapes.
    """
    wanted = network.state_dict()
    wrong = [name for name, weight in wanted.items() if name not in state or state[name].shape != weight.shape]
    if wrong:
        cause = f"{file} does not hold the weights of this network: {wrong[0]} is missing or of another shape"
        raise ComponentError(cause, remedy="give torchvision's weights of the network asked for", parameter="weights")
    if not torch.empty(0).is_meta:
        network.load_state_dict({name: state[name].float() for name in wanted}, assign=True)


def classifier_features(network: str, weights: Path | None) -> nn.Sequential:
    """Return the convolutional part of torchvision's classifier with its weights.

    The network is made on the meta device, so that no random numbers are drawn and thrown away.

    Args:
        network: Name of torchvision's network.
        weights: The file of its weights, if one is given.

    Raises:
        ComponentError: The weights can't be had.
    """
    import torchvision

    file = locate(network, weights)
    with torch.device("meta"):
        features: nn.Sequential = getattr(torchvision.models, network)(weights=None).features
    start = "features."
    fill(features, {k.removeprefix(start): v for k, v in read(file).items() if k.startswith(start)}, file)
    return features
