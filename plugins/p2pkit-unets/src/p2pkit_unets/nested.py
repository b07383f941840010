"""The U-Net whose skip connections are paths of nodes, each joined with all before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pkit import PairSpec
from p2pkit.layers import Dropout, InitStd, Norm, Width, initialise
from p2pkit_unets.layers import Encoder, Node, double
from p2pkit_unets.parameters import Depth, MaxWidth, Upsampling, check_size, level_widths


class UNetPlusPlus(nn.Module):
    """UNet++: a triangle of nodes, each joined with all before it at its level and with the one below.

    Node (i, j) is the j-th at level i. Column 0 is the encoder, and the last node of level 0 makes the fake. There
    is no deep supervision: the paper's further outputs of level 0 are for segmentation, and a generator has one fake.

    Args:
        images: What the run's images are.
        depth: Number of halvings.
        width: Channels at full size.
        max_width: Channels that no level exceeds.
        norm: Normalisation.
        upsampling: How the level below is doubled.
        dropout: Rate of the dropout in the nodes off the encoder.
        init_std: Standard deviation of the initial weights.

    Raises:
        ComponentError: The images' sides are not multiples of 2**depth, or too small for it.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of 2**depth.
    Source: Zhou et al. 2018, arXiv:1807.10165, equation 1 and figure 1a.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        depth: Depth = 4,
        width: Width = 32,
        max_width: MaxWidth = None,
        norm: Norm = "batch",
        upsampling: Upsampling = "transposed",
        dropout: Dropout = 0.0,
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        check_size(images, depth, norm)
        levels = level_widths(width, depth, max_width)
        self.depth = depth
        self.multiple = 2**depth
        self.encoder = Encoder(images.source.channels, levels, norm)
        self.doublings, self.nodes = nn.ModuleDict(), nn.ModuleDict()
        for column in range(1, depth + 1):
            for level in range(depth + 1 - column):
                doubling, channels = double(upsampling, levels[level + 1], levels[level])
                joined = column * levels[level] + channels
                self.doublings[f"{level}_{column}"] = doubling
                self.nodes[f"{level}_{column}"] = Node(joined, levels[level], norm, dropout if level else 0.0)
        self.last = nn.Sequential(nn.Conv2d(levels[0], images.target.channels, 1), nn.Tanh())
        initialise(self, init_std)

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        made = [[level] for level in self.encoder(source)]
        for column in range(1, self.depth + 1):
            for level in range(self.depth + 1 - column):
                below = self.doublings[f"{level}_{column}"](made[level + 1][column - 1])
                made[level].append(self.nodes[f"{level}_{column}"](torch.cat([*made[level], below], 1)))
        fake: Tensor = self.last(made[0][-1])
        return fake
