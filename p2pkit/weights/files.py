"""Published weights of networks: where they are, and into the network with them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from p2pkit.errors import ComponentError
from p2pkit.tensor_files import UnreadableTensors, load_tensors
from p2pkit.types.markers import StartsFrom

_downloads: ContextVar[bool] = ContextVar("downloads", default=True)

FOLDER = "P2PKIT_WEIGHTS"
"""The environment variable that names a folder of weights."""

CHECKSUMS = {
    "alexnet": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "vgg16": "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "vgg19": "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
}
"""SHA-256 of torchvision's files; their names hold the first eight digits, which have to do for the others."""
WeightsFile = Annotated[
    Path | None,
    Field(description="File with the network's weights; by default it is looked for and downloaded."),
    StartsFrom(),
]


@contextmanager
def no_downloads() -> Iterator[None]:
    """Take weights from this machine alone, and miss those that are not here."""
    before = _downloads.set(False)
    try:
        yield
    finally:
        _downloads.reset(before)


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of published weights.

    Args:
        name: What the network is called.
        address: Where its publisher has the file.
        sha256: The file's checksum, or as many of its first digits as are known.
        also: Other names that the file goes by in a folder of weights.
    """

    name: str
    address: str
    sha256: str
    also: tuple[str, ...] = ()

    @classmethod
    def of_torchvision(cls, network: str) -> Weights:
        """Return the file of a network of torchvision's: a classifier, or one for segmentation.

        Args:
            network: torchvision's name of it.

        Raises:
            ComponentError: torchvision has no such network.
        """
        from torchvision.models import get_model_weights, list_models

        if network not in list_models():
            raise ComponentError(f"torchvision has no network {network!r}", remedy=f"it has {', '.join(list_models())}")
        address: str = get_model_weights(network).DEFAULT.url
        known = address.rpartition("-")[2].partition(".")[0]
        also = (f"{network}.safetensors", f"lpips_{network}.safetensors", f"{network}.pth")
        return cls(network, address, CHECKSUMS.get(network, known), also)

    @property
    def file(self) -> str:
        """The name of the publisher's file."""
        return self.address.rpartition("/")[2]

    @property
    def cache(self) -> Path:
        """The folder of torch's cache, where torchvision and others keep what they have downloaded."""
        return Path(torch.hub.get_dir(), "checkpoints")

    def locate(self, given: Path | None = None) -> Path:
        """Find the file: the one given, else in the folder P2PKIT_WEIGHTS, else in torch's cache, else by download.

        Args:
            given: The file that a user gave, if one did.

        Returns:
            The file.

        Raises:
            ComponentError: It is not there, or the download failed; says what to put where.
        """
        if given is not None:
            given = given.expanduser()
            if not given.is_file():
                raise ComponentError(f"there is no file {given}", remedy=self._remedy(), parameter="weights")
            return given
        folder = os.environ.get(FOLDER)
        places = [Path(folder, name) for name in (self.file, *self.also) if folder]
        found = next((place for place in (*places, self.cache / self.file) if place.is_file()), None)
        return found or self._download()

    def _download(self) -> Path:
        if not _downloads.get():
            cause = f"the weights of {self.name} are not on this machine, and a check downloads nothing"
            raise ComponentError(cause, remedy=f"p2pkit train downloads them; or {self._remedy()}", parameter="weights")
        file = self.cache / self.file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.address, str(file), hash_prefix=self.sha256, progress=False)
        except (OSError, RuntimeError, HTTPException) as error:
            cause = f"the weights of {self.name} are not on this machine, and their download failed: {error}"
            raise ComponentError(cause, remedy=self._remedy(), parameter="weights") from error
        return file

    def _remedy(self) -> str:
        checksum = f"sha256 {self.sha256}" + ("" if len(self.sha256) == 64 else "...")
        return (
            f"get {self.file} ({checksum}) from {self.address} and put it into {self.cache} "
            f"or into the folder that {FOLDER} names, or give its path as weights"
        )


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read a state dict of torch or safetensors to the CPU, whatever the default device is; no code in it is run.

    Raises:
        ComponentError: It can't be read, or holds more than tensors and plain values.
    """
    try:
        return load_tensors(file)
    except UnreadableTensors as error:
        raise ComponentError(f"{file} {error.cause}", remedy=error.remedy, parameter="weights") from None


def fill_weights(network: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Give a network that was built on the meta device its weights; where p2pkit checks shapes, compare these only.

    Built there, a network draws no random numbers that would be thrown away.

    Args:
        network: The network, on the meta device.
        state: Weights under the network's own names; others are left out.
        file: Where they come from, for the error.

    Raises:
        ComponentError: Weights are missing, of other shapes, or not finite.
    """
    wanted = network.state_dict()
    wrong = [name for name, weight in wanted.items() if getattr(state.get(name), "shape", None) != weight.shape]
    if wrong:
        cause = f"{file} does not hold the weights of this network: {wrong[0]} is missing or of another shape"
        raise ComponentError(cause, remedy="give the weights of the network asked for", parameter="weights")
    odd = [name for name in wanted if state[name].is_complex() or not state[name].isfinite().all()]
    if odd:
        cause = f"{file} holds weights that are no finite real numbers: {odd[0]}"
        raise ComponentError(cause, remedy="download or copy it again", parameter="weights")
    if not torch.empty(0).is_meta:
        floats = {
            name: state[name].float() if weight.is_floating_point() else state[name] for name, weight in wanted.items()
        }
        network.load_state_dict(floats, assign=True)


def fingerprint(network: nn.Module) -> str:
    """Return twelve characters that stand for a network's weights, whatever file they came from."""
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
