"""Initial weights."""

from __future__ import annotations

from torch import nn

from p2pkit.layers.blocks import PixelShuffleUp


def initialise(network: nn.Module, std: float, *, biases: bool = True) -> None:
    """Set a network's initial weights.

    Convolutions are drawn from N(0, std), the norms' weights from N(1, std), biases are zero.

    Args:
        network: The network.
        std: The standard deviation.
        biases: Whether the convolutions' biases are set to zero; else they keep PyTorch's own initial values.

    Source: Isola et al. 2017, arXiv:1611.07004, section 6.2.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if biases and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, PixelShuffleUp):
            module.equalise()
