"""How many values a network has."""

from __future__ import annotations

from torch import nn

from p2pkit.config import Part
from p2pkit.engine.build.meta import trial_device
from p2pkit.errors import ConfigError
from p2pkit.types import PairSpec, ParameterCount


def count_parameters(network: nn.Module) -> ParameterCount:
    """Count the values of a network, frozen ones included, and those that training changes."""
    parameters = list(network.parameters())
    trainable = (parameter.numel() for parameter in parameters if parameter.requires_grad)
    return ParameterCount(sum(parameter.numel() for parameter in parameters), sum(trainable))


def count_parameters_on_meta(part: Part, images: PairSpec) -> ParameterCount:
    """Return the size of a network without allocating it, where it can be built so."""
    try:
        with trial_device():
            return count_parameters(part.build(images))
    except ConfigError:  # a network that asks tensors for their values
        return count_parameters(part.build(images))
