"""Blocks: convolutions that keep the size, residual blocks, and layers that double the sides."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pkit.layers.norms import needs_bias, normalise
from p2pkit.layers.parameters import Padding


def drop(rate: float) -> tuple[nn.Module, ...]:
    """Return dropout as a tuple to unpack, empty at a rate of 0."""
    return (nn.Dropout(rate),) if rate else ()


def same_convolution(
    in_channels: int, out_channels: int, kernel: int, *, padding: Padding = "zeros", bias: bool = True
) -> nn.Conv2d:
    """Return a convolution that keeps the size.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel: Side of the kernel, an odd number.
        padding: What it sees beyond the border.
        bias: Whether it has a bias.

    Shape: (B, in_channels, H, W) -> (B, out_channels, H, W).
    """
    return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, padding_mode=padding, bias=bias)


def convolve(in_channels: int, out_channels: int, norm: str, *, affine: bool = False) -> tuple[nn.Module, ...]:
    """Return a 3 x 3 convolution, its norm and a ReLU, as a tuple to unpack.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        norm: One of `Norm`; where it brings no bias, the convolution has one.
        affine: Whether instance norm has weights of its own.

    Shape: (B, in_channels, H, W) -> (B, out_channels, H, W), 0 and more.
    """
    convolution = same_convolution(in_channels, out_channels, 3, bias=needs_bias(norm, affine=affine))
    return convolution, *normalise(norm, out_channels, affine=affine), nn.ReLU()


class ResidualBlock(nn.Module):
    """Two convolutions whose outcome is added to their input.

    Args:
        channels: Channels in and out.
        norm: Normalisation after each convolution, one of `Norm`.
        dropout: Rate of the dropout between them; none at 0.
        padding: What lies beyond the border.
        bias: Whether the convolutions have one.

    Shape: (B, channels, H, W) -> the same.
    Source: Johnson et al. 2016, arXiv:1603.08155, supplement; Zhu et al. 2017, arXiv:1703.10593, section 7.2.
    """

    def __init__(
        self, channels: int, norm: str, *, dropout: float = 0.0, padding: Padding = "reflect", bias: bool = True
    ) -> None:
        super().__init__()
        first, second = (same_convolution(channels, channels, 3, padding=padding, bias=bias) for _ in range(2))
        norms = normalise(norm, channels), normalise(norm, channels)
        self.model = nn.Sequential(first, *norms[0], nn.ReLU(), *drop(dropout), second, *norms[1])

    def forward(self, image: Tensor) -> Tensor:
        """Add the change to the input."""
        changed: Tensor = image + self.model(image)
        return changed


class PixelShuffleUp(nn.Sequential):
    """Double the sides by a convolution to four times the channels, which become the four pixels of each square.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        bias: Whether the convolution has one.

    Shape: (B, in_channels, H, W) -> (B, out_channels, 2 H, 2 W).
    Source: Shi et al. 2016, arXiv:1609.05158, section 3.2; Aitken et al. 2017, arXiv:1707.02937, section 3 (ICNR).
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool) -> None:
        super().__init__(same_convolution(in_channels, 4 * out_channels, 3, bias=bias), nn.PixelShuffle(2))

    @torch.no_grad()
    def equalise(self) -> None:
        """Give the four pixels of a square the same weights, so that nothing tells them apart at the start."""
        weight = self.get_parameter("0.weight")
        weight.copy_(weight[::4].repeat_interleave(4, 0))


def upsample(kind: str, in_channels: int, out_channels: int, *, bias: bool, kernel: int = 4) -> nn.Module:
    """Return a layer that doubles the sides.

    Args:
        kind: One of `Upsampling`.
        in_channels: Channels in.
        out_channels: Channels out.
        bias: Whether its convolution has one.
        kernel: Side of the transposed convolution's kernel, 3 or 4; the other kinds convolve 3 x 3.

    Returns:
        The layer; of an interpolation and a convolution, both in an `nn.Sequential`.

    Shape: (B, in_channels, H, W) -> (B, out_channels, 2 H, 2 W).
    """
    if kind == "transposed":
        return nn.ConvTranspose2d(in_channels, out_channels, kernel, 2, 1, output_padding=kernel % 2, bias=bias)
    if kind == "pixel_shuffle":
        return PixelShuffleUp(in_channels, out_channels, bias)
    enlarge = nn.Upsample(scale_factor=2, mode=kind)
    return nn.Sequential(enlarge, same_convolution(in_channels, out_channels, 3, bias=bias))
