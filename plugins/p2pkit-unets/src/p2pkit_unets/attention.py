"""The U-Net whose skip connections pass through attention gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pkit import PairSpec
from p2pkit.layers import Dropout, InitStd, Norm, Width, initialise
from p2pkit_unets.layers import Encoder, Node, double, enlarge
from p2pkit_unets.parameters import Depth, MaxWidth, Upsampling, check_size, level_widths


class AttentionGate(nn.Module):
    """Weigh each pixel of a skip connection by what the level below has found there.

    The weights are computed on the level below's grid, by additive attention, and enlarged bilinearly.

    Args:
        channels: Channels of the skip connection, and of the attention's hidden layer.
        gating: Channels of the level below.

    Shape: skip (B, channels, H, W), below (B, gating, H / 2, W / 2) -> (B, channels, H, W).
    Source: Oktay et al. 2018, arXiv:1804.03999, equations 1 and 2, figure 2.
    """

    def __init__(self, channels: int, gating: int) -> None:
        super().__init__()
        self.of_skip = nn.Conv2d(channels, channels, 1, stride=2, bias=False)
        self.of_below = nn.Conv2d(gating, channels, 1)
        self.weigh = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, 1, 1), nn.Sigmoid(), enlarge("bilinear", 2))

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Return the skip connection with its pixels weighed."""
        gated: Tensor = skip * self.weigh(self.of_skip(skip) + self.of_below(below))
        return gated


class AttentionUNet(nn.Module):
    """U-Net whose skip connections pass through attention gates, all but the one at full size.

    A plain U-Net otherwise: two convolutions a level, max pooling, doublings joined with the gated skips.

    Args:
        images: What the run's images are.
        depth: Number of halvings.
        width: Channels at full size.
        max_width: Channels that no level exceeds.
        norm: Normalisation.
        upsampling: How the decoder doubles the sides.
        dropout: Rate of the dropout in the decoder.
        init_std: Standard deviation of the initial weights.

    Raises:
        ComponentError: The images' sides are not multiples of 2**depth, or too small for it.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of 2**depth.
    Source: Oktay et al. 2018, arXiv:1804.03999, section 2 and figures 1 and 2; its volumes are images here.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        depth: Depth = 4,
        width: Width = 64,
        max_width: MaxWidth = None,
        norm: Norm = "batch",
        upsampling: Upsampling = "bilinear",
        dropout: Dropout = 0.0,
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        check_size(images, depth, norm)
        levels = level_widths(width, depth, max_width)
        self.multiple = 2**depth
        self.encoder = Encoder(images.source.channels, levels, norm)
        self.doublings, self.gates, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(depth)):
            doubling, channels = double(upsampling, levels[level + 1], levels[level])
            self.doublings.append(doubling)
            if level:
                self.gates.append(AttentionGate(levels[level], levels[level + 1]))
            self.decoder.append(Node(levels[level] + channels, levels[level], norm, dropout if level else 0.0))
        self.last = nn.Sequential(nn.Conv2d(levels[0], images.target.channels, 1), nn.Tanh())
        initialise(self, init_std)

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        *skips, image = self.encoder(source)
        for doubling, node, gate in zip(self.doublings, self.decoder, [*self.gates, None], strict=True):
            skip = skips.pop()
            skip = skip if gate is None else gate(skip, image)
            image = node(torch.cat([skip, doubling(image)], 1))
        fake: Tensor = self.last(image)
        return fake
