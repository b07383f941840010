"""MONAI's networks as p2pkit's: one image in, one image out, and MONAI imported when a network is built."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec, first_line
from p2pkit.layers import activation, check_sides

_Transposed = nn.ConvTranspose2d | nn.ConvTranspose3d


class MonaiGenerator(nn.Module):
    """A network of MONAI as a generator.

    Args:
        network: MONAI's network; of several answers the last one counts.
        final: Last activation: tanh, linear or softmax.
        multiple: What the sides have to be multiples of.

    Shape: source (B, C_source, H, W) or (B, C_source, D, H, W) in [-1, 1] -> fake of the target's channels.
    """

    def __init__(self, network: nn.Module, final: str, multiple: int) -> None:
        super().__init__()
        self.network = network
        self.last = activation(final)
        self.multiple = multiple

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        made = self.network(source)
        fake: Tensor = self.last(made[-1] if isinstance(made, list | tuple) else made)
        return fake


def generator(name: str, images: PairSpec, multiple: int, final: str, **options: Any) -> MonaiGenerator:
    """Build one of MONAI's networks for a run's images.

    Args:
        name: MONAI's class.
        images: What the run's images are; their dimensions become the network's.
        multiple: What the sides have to be multiples of; one is longer than that, since norms need two values.
        final: Last activation.
        **options: The class's further arguments.

    Raises:
        ComponentError: The sides don't fit, or MONAI refuses the parameters.
    """
    least = multiple if max(images.size) > multiple else 2 * multiple
    check_sides(images, name, multiple, least=least)
    channels = {"in_channels": images.source.channels, "out_channels": images.target.channels}
    network = build(name, spatial_dims=images.dims, **channels, **options)
    return MonaiGenerator(border_repeated(network), final, multiple)


def build(name: str, **options: Any) -> nn.Module:
    """Build a network of MONAI by its class's name; one that asks tensors for values is built on the CPU and moved.

    Raises:
        ComponentError: MONAI refuses the parameters.
    """
    make: Any = getattr(import_module("monai.networks.nets"), name)
    try:
        return _built(make, options)
    except (ValueError, AssertionError) as error:
        raise ComponentError(f"MONAI's {name} can't be made of these parameters: {first_line(error)}") from error


def _built(make: Any, options: dict[str, Any]) -> nn.Module:
    try:
        network: nn.Module = make(**options)
    except RuntimeError:
        if not torch.empty(0).is_meta:
            raise
        with torch.device("cpu"):
            network = make(**options)
        return network.to("meta")
    return network


def border_repeated(network: nn.Module) -> nn.Module:
    """Let what doubles the sides see one more row and column at the far borders: the last ones again.

    Where the kernel is larger than the stride, MONAI adds what is missing by output padding. There half of the kernel
    finds nothing, and fakes have dashes along two borders until the network has learnt to make up for it.

    Args:
        network: A network of MONAI, changed in place; its parameters and their names stay.
    """
    for layer in network.modules():
        if isinstance(layer, _Transposed) and any(layer.output_padding):
            layer.register_forward_pre_hook(_repeat)
            layer.register_forward_hook(_cut)
    return network


def _repeat(layer: nn.Module, given: tuple[Tensor]) -> Tensor:
    maps = given[0]
    for dim in range(2, maps.ndim):
        maps = torch.cat([maps, maps.narrow(dim, maps.shape[dim] - 1, 1)], dim)
    return maps


def _cut(layer: _Transposed, given: tuple[Tensor], made: Tensor) -> Tensor:
    return made[(..., *(slice(-step) for step in layer.stride))]
