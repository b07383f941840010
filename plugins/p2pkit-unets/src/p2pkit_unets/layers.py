"""What the four networks are made of: nodes, the encoder, enlarging."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from p2pkit.layers import convolve, drop


class Node(nn.Sequential):
    """Two 3 x 3 convolutions, each with its norm and ReLU, then dropout where it is asked for.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        norm: Normalisation.
        dropout: Rate of the dropout at the end; none at 0.

    Shape: (B, in_channels, H, W) -> (B, out_channels, H, W), 0 and more.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str, dropout: float = 0.0) -> None:
        first = convolve(in_channels, out_channels, norm, affine=True)
        second = convolve(out_channels, out_channels, norm, affine=True)
        super().__init__(*first, *second, *drop(dropout))


class Encoder(nn.Module):
    """The way down that three of the papers share: a node a level, and 2 x 2 max pooling between them.

    Args:
        in_channels: Channels in.
        levels: Channels of each level, full size first.
        norm: Normalisation.

    Shape: (B, in_channels, H, W) -> one tensor a level k, (B, levels[k], H / 2**k, W / 2**k).
    """

    def __init__(self, in_channels: int, levels: Sequence[int], norm: str) -> None:
        super().__init__()
        before = [in_channels, *levels]
        self.nodes = nn.ModuleList(Node(before[k], level, norm) for k, level in enumerate(levels))
        self.pool = nn.MaxPool2d(2)

    def forward(self, source: Tensor) -> list[Tensor]:
        """Return what each level sees, full size first."""
        levels = [self.nodes[0](source)]
        for node in list(self.nodes)[1:]:
            levels.append(node(self.pool(levels[-1])))
        return levels


def double(kind: str, in_channels: int, out_channels: int) -> tuple[nn.Module, int]:
    """Return a layer that doubles the sides, and its channels out: an interpolation keeps those that came in.

    Args:
        kind: `nearest`, `bilinear` or `transposed`.
        in_channels: Channels in.
        out_channels: Channels out of the transposed convolution.

    Returns:
        The layer and the number of its channels.

    Shape: (B, in_channels, H, W) -> (B, the returned number, 2 H, 2 W).
    """
    if kind == "transposed":
        return nn.ConvTranspose2d(in_channels, out_channels, 2, 2), out_channels
    return enlarge(kind, 2), in_channels


def enlarge(kind: str, factor: int) -> nn.Module:
    """Return an interpolation, `nearest` or `bilinear`, that multiplies the sides.

    Args:
        kind: `nearest` or `bilinear`.
        factor: By how much.
    """
    return nn.Upsample(scale_factor=factor, mode=kind)
