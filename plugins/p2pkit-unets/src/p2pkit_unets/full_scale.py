"""The U-Net whose decoder sees every level at every size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from p2pkit import PairSpec
from p2pkit.layers import Dropout, InitStd, Norm, Width, convolve, drop, initialise
from p2pkit_unets.layers import Encoder, enlarge
from p2pkit_unets.parameters import Depth, Interpolation, MaxWidth, check_size, level_widths


class FullScaleNode(nn.Module):
    """Bring all levels to one size and the same number of channels, join them, convolve.

    Args:
        level: The node's own level.
        in_channels: Channels of what comes from each level, full size first.
        branch: Channels of each level after its convolution.
        norm: Normalisation.
        upsampling: How lower levels are enlarged; higher ones are max pooled.
        dropout: Rate of the dropout at the end; none at 0.

    Shape: for each level k (B, in_channels[k], H / 2**k, W / 2**k) -> (B, branch * levels, H / 2**level, W / 2**level).
    Source: Huang et al. 2020, arXiv:2004.08790, section 2.1 and figure 2.
    """

    def __init__(
        self, level: int, in_channels: Sequence[int], branch: int, norm: str, upsampling: str, dropout: float
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList()
        for k, channels in enumerate(in_channels):
            resize = _resize(2 ** abs(level - k), "pool" if k < level else upsampling)
            self.branches.append(nn.Sequential(*resize, *convolve(channels, branch, norm, affine=True)))
        joined = branch * len(in_channels)
        self.join = nn.Sequential(*convolve(joined, joined, norm, affine=True), *drop(dropout))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Join what comes from each level, full size first."""
        branches = [branch(level) for branch, level in zip(self.branches, levels, strict=True)]
        joined: Tensor = self.join(torch.cat(branches, 1))
        return joined


class UNet3Plus(nn.Module):
    """UNet 3+: each decoder node sees the encoder at its size and above, and the decoder below, all at once.

    Every node has `width` channels from each level, so `width` x (depth + 1). There is no deep supervision and no
    classification-guided module: the paper has both for segmentation, and a generator has one fake.

    Args:
        images: What the run's images are.
        depth: Number of halvings.
        width: Channels at full size, and of each branch into a decoder node.
        max_width: Channels that no level of the encoder exceeds.
        norm: Normalisation.
        upsampling: How lower levels are enlarged.
        dropout: Rate of the dropout in the decoder.
        init_std: Standard deviation of the initial weights.

    Raises:
        ComponentError: The images' sides are not multiples of 2**depth, or too small for it.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of 2**depth.
    Source: Huang et al. 2020, arXiv:2004.08790, section 2.1 and figures 1c and 2.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        depth: Depth = 4,
        width: Width = 64,
        max_width: MaxWidth = None,
        norm: Norm = "batch",
        upsampling: Interpolation = "bilinear",
        dropout: Dropout = 0.0,
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        check_size(images, depth, norm)
        self.multiple = 2**depth
        channels = level_widths(width, depth, max_width)
        self.encoder = Encoder(images.source.channels, channels, norm)
        self.decoder = nn.ModuleList()
        for level in reversed(range(depth)):
            rate = dropout if level else 0.0
            self.decoder.append(FullScaleNode(level, channels, width, norm, upsampling, rate))
            channels = [*channels[:level], width * (depth + 1), *channels[level + 1 :]]
        last = nn.Conv2d(width * (depth + 1), images.target.channels, 3, padding=1)
        self.last = nn.Sequential(last, nn.Tanh())
        initialise(self, init_std)

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        levels = self.encoder(source)
        for level, node in zip(reversed(range(len(self.decoder))), self.decoder, strict=True):
            levels = [*levels[:level], node(levels), *levels[level + 1 :]]
        fake: Tensor = self.last(levels[0])
        return fake


def _resize(factor: int, kind: str) -> list[nn.Module]:
    if factor == 1:
        return []
    return [nn.MaxPool2d(factor) if kind == "pool" else enlarge(kind, factor)]
