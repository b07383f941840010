"""The U-Net of residual units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pkit import PairSpec
from p2pkit.layers import Dropout, InitStd, Norm, Width, drop, initialise, needs_bias, normalise
from p2pkit_unets.layers import double
from p2pkit_unets.parameters import Depth, MaxWidth, Upsampling, check_size, level_widths


class ResidualUnit(nn.Module):
    """Two 3 x 3 convolutions, each after its norm and ReLU, whose outcome is added to the unit's input.

    Where channels or size change, the input passes a 1 x 1 convolution first.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        norm: Normalisation.
        stride: 2 to halve the sides.
        first: Whether the unit sees the source itself, which is not normalised.
        dropout: Rate of the dropout between the convolutions; none at 0.

    Shape: (B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride).
    Source: He et al. 2016, arXiv:1603.05027, figure 4e; Zhang et al. 2018, arXiv:1711.10684, section II-A.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: str,
        *,
        stride: int = 1,
        first: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        bias = needs_bias(norm, affine=True)
        before = [] if first else [*normalise(norm, in_channels, affine=True), nn.ReLU()]
        enter = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=bias)
        leave = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias)
        between = *normalise(norm, out_channels, affine=True), nn.ReLU(), *drop(dropout)
        self.change = nn.Sequential(*before, enter, *between, leave)
        same = in_channels == out_channels and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Add the change to the input."""
        changed: Tensor = self.shortcut(image) + self.change(image)
        return changed


class ResidualUNet(nn.Module):
    """ResUNet: a U-Net of residual units, which halve by stride.

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
    Source: Zhang, Liu and Wang 2018, arXiv:1711.10684, section II-A, figure 2 and table I.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        depth: Depth = 3,
        width: Width = 64,
        max_width: MaxWidth = None,
        norm: Norm = "batch",
        upsampling: Upsampling = "nearest",
        dropout: Dropout = 0.0,
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        check_size(images, depth, norm)
        levels = level_widths(width, depth, max_width)
        self.multiple = 2**depth
        self.encoder = nn.ModuleList([ResidualUnit(images.source.channels, levels[0], norm, first=True)])
        for level in range(1, depth + 1):
            self.encoder.append(ResidualUnit(levels[level - 1], levels[level], norm, stride=2))
        self.doublings, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(depth)):
            doubling, channels = double(upsampling, levels[level + 1], levels[level])
            rate = dropout if level else 0.0
            self.doublings.append(doubling)
            self.decoder.append(ResidualUnit(levels[level] + channels, levels[level], norm, dropout=rate))
        self.last = nn.Sequential(nn.Conv2d(levels[0], images.target.channels, 1), nn.Tanh())
        initialise(self, init_std)

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        image, skips = source, []
        for unit in self.encoder:
            image = unit(image)
            skips.append(image)
        skips.pop()
        for doubling, unit in zip(self.doublings, self.decoder, strict=True):
            image = unit(torch.cat([skips.pop(), doubling(image)], 1))
        fake: Tensor = self.last(image)
        return fake
