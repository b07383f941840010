"""What a layout is: how another toolbox names the tensors of a network that ours can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from p2pkit.components import Component
from p2pkit.types import ImageSpec, PairSpec
from p2pkit.untyped import Json

Shapes = Mapping[str, tuple[int, ...]]
Params = dict[str, Json]
NORM_STATE = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Inferred:
    """What keys and shapes say of a network.

    Args:
        params: Parameters of our component.
        inputs: Channels of the first convolution's input.
        outputs: Channels of the last one's output.
    """

    params: Params
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Layout:
    """How a toolbox names a network's tensors.

    Args:
        toolbox: `junyanz`, `mmgen` or `erik`.
        network: The toolbox's name of the network.
        kind: Generator or discriminator.
        use: The component of ours that computes the same.
        anchor: A key that such a file always has.
        infer: From keys and shapes to our parameters; a `KeyError` where an expected key is missing.
        modules: From our parameters to the names of the layers that have tensors, from the source to the fake.
        batch_norm: The mode that the toolbox tests such a generator in.
        dropout: The same, for dropout.
        dropout_rate: Rate of the dropout that leaves no trace in the keys; 0 where there is none such.
        channels: Order of the colours that the toolbox gives to networks.
    """

    toolbox: str
    network: str
    kind: Literal["generator", "discriminator"]
    use: str
    anchor: str
    infer: Callable[[Shapes], Inferred]
    modules: Callable[[Params], Sequence[str]]
    batch_norm: str = "batch"
    dropout: str = "on"
    dropout_rate: float = 0.0
    channels: Literal["rgb", "bgr"] = "rgb"

    @property
    def name(self) -> str:
        """The toolbox with its network."""
        return f"{self.toolbox} {self.network}"


@dataclass(frozen=True)
class Names:
    """The keys of one network, theirs beside ours.

    Args:
        network: Our network, without weights.
        ours: Our key for each of theirs, in our order.
    """

    network: nn.Module
    ours: Mapping[str, str]

    @property
    def shapes(self) -> Shapes:
        """Their keys with the shapes that these should have."""
        state = self.network.state_dict()
        return {theirs: tuple(state[ours].shape) for theirs, ours in self.ours.items()}


def name_tensors(layout: Layout, component: Component, images: PairSpec, params: Params) -> Names:
    """Pair the keys of a layout with those of our network, layer by layer.

    Args:
        layout: Their names.
        component: Our component.
        images: What the images are.
        params: Our parameters.

    Returns:
        The pairs; none of them has weights yet.
    """
    with torch.device("meta"):
        network: nn.Module = component.build(images, params)
    layers: dict[str, list[str]] = {}
    for key in network.state_dict():
        layer, _, leaf = key.rpartition(".")
        layers.setdefault(layer, []).append(leaf)
    pairs = zip(layout.modules(params), layers.items(), strict=True)
    ours = {f"{theirs}.{leaf}": f"{layer}.{leaf}" for theirs, (layer, leaves) in pairs for leaf in leaves}
    return Names(network, ours)


def image_specs(source: int, target: int, side: int) -> PairSpec:
    """Return what 8-bit square images of these channels are."""
    return PairSpec(ImageSpec(source), ImageSpec(target), side, side)


def swap_colours(
    names: Names, tensors: Mapping[str, Tensor], groups: Sequence[int], *, image: bool
) -> dict[str, Tensor]:
    """Turn a network of blue-green-red images into one of red-green-blue images that computes the same.

    Args:
        names: The network.
        tensors: Its weights, by our keys.
        groups: Channels of the images that the first convolution sees, one after the other; those of three are swapped.
        image: Whether the last convolution makes a colour image, and is swapped too.

    Returns:
        The weights; swapping twice gives those that were there.
    """
    swapped = dict(tensors)
    convolutions = [(n, m) for n, m in names.network.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    first, last = convolutions[0][0], convolutions[-1][0]
    order = [i for start, size in _starts(groups) for i in (range(start, start + size)[:: -1 if size == 3 else 1])]
    swapped[f"{first}.weight"] = tensors[f"{first}.weight"][:, order]
    if image:
        outputs = 1 if isinstance(convolutions[-1][1], nn.ConvTranspose2d) else 0
        swapped[f"{last}.weight"] = tensors[f"{last}.weight"].flip(outputs)
        swapped[f"{last}.bias"] = tensors[f"{last}.bias"].flip(0)
    return swapped


def _starts(groups: Sequence[int]) -> list[tuple[int, int]]:
    return [(sum(groups[:i]), size) for i, size in enumerate(groups)]
