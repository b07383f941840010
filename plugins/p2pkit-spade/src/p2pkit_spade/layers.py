"""Normalisation that is scaled and shifted by what a label map says at each place, and the block that is made of it."""

from __future__ import annotations

from typing import Literal

from p2pkit.layers import same_convolution
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

FreeNorm = Literal["batch", "instance"]


class Spade(nn.Module):
    """Spatially adaptive normalisation.

    Args:
        channels: Channels of the maps.
        planes: Planes of the label map.
        norm: The normalisation without weights that comes first.
        hidden: Channels between the label map and the scales and shifts.

    Shape: maps (B, channels, h, w), labels (B, planes, H, W) -> (B, channels, h, w).
    Source: Park et al. 2019, arXiv:1903.07291, equation 1 and figure 10.
    """

    def __init__(self, channels: int, planes: int, norm: FreeNorm, hidden: int) -> None:
        super().__init__()
        kind = nn.BatchNorm2d if norm == "batch" else nn.InstanceNorm2d
        self.norm = kind(channels, affine=False)
        self.shared = nn.Sequential(same_convolution(planes, hidden, 3), nn.ReLU())
        self.gain, self.shift = (same_convolution(hidden, channels, 3) for _ in range(2))

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Normalise, and then scale and shift each place by its labels."""
        seen = self.shared(functional.interpolate(labels, size=maps.shape[2:]))
        changed: Tensor = self.norm(maps) * (1 + self.gain(seen)) + self.shift(seen)
        return changed


class SpadeBlock(nn.Module):
    """Two convolutions, each after a SPADE and a leaky ReLU, whose outcome is added to their input.

    Args:
        inputs: Channels in.
        outputs: Channels out; where they are others, the input is brought to them by a convolution of 1 x 1.
        planes: Planes of the label map.
        norm: The normalisation without weights.
        hidden: Channels between the label map and the scales and shifts.

    Shape: maps (B, inputs, h, w), labels (B, planes, H, W) -> (B, outputs, h, w).
    Source: Park et al. 2019, arXiv:1903.07291, figure 11.
    """

    def __init__(self, inputs: int, outputs: int, planes: int, norm: FreeNorm, hidden: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.norms = nn.ModuleList([Spade(channels, planes, norm, hidden) for channels in (inputs, middle)])
        self.convolutions = nn.ModuleList([same_convolution(inputs, middle, 3), same_convolution(middle, outputs, 3)])
        self.shortcut: nn.Module | None = None
        if inputs != outputs:
            self.shortcut_norm = Spade(inputs, planes, norm, hidden)
            self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Add the change to the input."""
        changed = maps
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            changed = convolution(functional.leaky_relu(norm(changed, labels), 0.2))
        straight = maps if self.shortcut is None else self.shortcut(self.shortcut_norm(maps, labels))
        return straight + changed


def initialise(network: nn.Module, gain: float) -> None:
    """Draw the weights of convolutions and linear layers as the published code does, by Glorot's rule; biases are 0.

    Args:
        network: The network.
        gain: Factor of the standard deviation.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(module.weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def spectral(block: nn.Module) -> None:
    """Keep the largest singular value of a block's own convolutions at 1, and leave what is inside of its norms.

    Args:
        block: A block, or a sequence of layers.

    Source: Miyato et al. 2018, arXiv:1802.05957.
    """
    for module in block.children():
        if isinstance(module, nn.Conv2d):
            parametrizations.spectral_norm(module)
        elif isinstance(module, nn.ModuleList):
            spectral(module)
