"""What the parts for segmentation share: who is refused, and networks that are trained already."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor, nn

import p2pkit
from p2pkit import ComponentError, ImageSpec, PairSpec
from p2pkit.layers import ClassPlanes, Standardise
from p2pkit.untyped import Untyped

Architecture = Literal[
    "fcn_resnet50",
    "fcn_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
]


def check_labels(images: PairSpec, name: str) -> None:
    """Refuse targets that are not label maps.

    Args:
        images: What the run's images are.
        name: The component.

    Raises:
        ComponentError: The targets are no label maps.
    """
    if images.target.kind != "labels":
        remedy = "use a data set whose targets are label maps, as dataset labels with labels: target"
        raise ComponentError(f"{name} is for targets that are labels, and these are not", remedy=remedy)


class Torchvision(nn.Module):
    """One of torchvision's networks for segmentation, for images as p2pkit has them.

    Args:
        architecture: Its name in torchvision.
        classes: Number of classes.
        auxiliary: Whether it has the second head that some are trained with.

    Shape: (B, 3, H, W) in [-1, 1] -> one plane a class, (B, classes, H, W) in [-1, 1].
    Source: torchvision.models.segmentation, which wants colours in [0, 1], less ImageNet's mean, over its deviation.
    """

    def __init__(self, architecture: str, classes: int, *, auxiliary: bool = False) -> None:
        from torchvision.models import get_model

        super().__init__()
        head: dict[str, Untyped] = {"aux_loss": True} if auxiliary else {}
        self.model = get_model(architecture, weights=None, weights_backbone=None, num_classes=classes, **head)
        self.standardise = Standardise()
        self.planes = ClassPlanes()

    def forward(self, photo: Tensor) -> Tensor:
        """Say what each pixel shows."""
        planes: Tensor = self.planes(self.model(self.standardise(photo))["out"])
        return planes


def load_network(images: PairSpec, path: Path, architecture: str | None) -> nn.Module:
    """Load a network that is to find the sources' classes in images like the targets.

    Args:
        images: What the run's images are.
        path: A run or checkpoint of p2pkit, or a file of weights.
        architecture: For a file of weights, torchvision's name of the network.

    Returns:
        The network, on the CPU.

    Raises:
        ComponentError: It can't be loaded, or does not fit the images.
    """
    if not path.exists():
        remedy = "train one on the real photos with p2pkit train fcn, and name its folder"
        raise ComponentError(f"there is no network {path}", remedy=remedy, parameter="network")
    if path.is_dir():
        return _trained_here(images, path)
    if architecture is None:
        remedy = "name torchvision's network that they are of, or give the folder of a run"
        cause = f"{path} is a file of weights of an unknown network"
        raise ComponentError(cause, remedy=remedy, parameter="architecture")
    return _trained_elsewhere(images, path, architecture)


def _trained_here(images: PairSpec, path: Path) -> nn.Module:
    try:
        found = p2pkit.load(path, device="cpu")
    except p2pkit.P2pkitError as error:
        raise ComponentError(str(error), parameter="network") from None
    made, wanted = _task(found.images.source, found.images.target), _task(images.target, images.source)
    if made != wanted:
        raise ComponentError(f"this network is for {made}, where one for {wanted} is wanted", parameter="network")
    multiple = found.multiple
    if images.height % multiple or images.width % multiple:
        size = f"{images.height} x {images.width}"
        cause = f"this network needs sides that are multiples of {multiple}, the images are {size}"
        raise ComponentError(cause, parameter="network")
    return found.generator


def _task(photo: ImageSpec, labels: ImageSpec) -> str:
    return f"{photo.channels} channels -> {labels.channels} {'classes' if labels.kind == 'labels' else 'channels'}"


def _trained_elsewhere(images: PairSpec, path: Path, architecture: str) -> nn.Module:
    if images.target.channels != 3:
        cause = f"{architecture} is for colour images, the targets have {images.target.channels} channels"
        raise ComponentError(cause, parameter="architecture")
    try:
        weights: dict[str, Untyped] = p2pkit.read_weights(path)
        weights = weights.get("model", weights)  # where torchvision's own training has put them
        network = Torchvision(architecture, images.source.channels, auxiliary=any(map(_of_second_head, weights)))
        network.model.load_state_dict(weights)
    except (ComponentError, RuntimeError, AttributeError, TypeError) as error:
        sought = f"weights of {architecture} for {images.source.channels} classes"
        cause = f"{path} holds no {sought}: {p2pkit.first_line(error)}"
        raise ComponentError(cause, parameter="network") from None
    return network


def _of_second_head(name: object) -> bool:
    return str(name).startswith("aux_classifier.")
