"""How many values a network has."""

from __future__ import annotations

import torch
from torch import nn

from p2pkit.config import Part
from p2pkit.types import PairSpec


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable values of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_parameters_on_meta(part: Part, images: PairSpec) -> int:
    """Return the size of a network without allocating it."""
    with torch.device("meta"):
        return count_parameters(part.build(images))
