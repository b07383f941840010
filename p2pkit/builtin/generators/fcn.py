"""A fully convolutional network for segmentation: photo to labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from p2pkit import PairSpec
from p2pkit.builtin.segmentation import check_labels
from p2pkit.layers import ClassPlanes, Norm, Width, convolve, widths

STAGES = 5


class FCN(nn.Module):
    """Fully convolutional network: five stages of convolutions and halvings, whose last ones vote on the classes.

    The votes of the coarse stages are enlarged and added to those of the finer ones, down to `stride` pixels, then
    enlarged to the image's size. Each stage has two 3 x 3 convolutions, and there are no layers of 4096 channels.

    Args:
        images: What the run's images are.
        width: Channels of the first stage; each has twice those of the one before, up to eight times.
        stride: Pixels for which the finest votes are cast: 32, 16 and 8 are FCN-32s, FCN-16s and FCN-8s.
        norm: Normalisation.

    Raises:
        ComponentError: The targets are not labels.

    Shape: source (B, C_source, H, W) in [-1, 1] -> one plane a class (B, C_target, H, W) in [-1, 1], whose shares
    sum to 1 when brought to [0, 1].
    Source: Long et al. 2015, arXiv:1411.4038, section 4.2.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        width: Width = 64,
        stride: Annotated[
            Literal[2, 4, 8, 16, 32], Field(description="Pixels for which the finest votes are cast; 8 is FCN-8s.")
        ] = 8,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        check_labels(images, "fcn")
        levels = widths(width, STAGES, 8 * width)
        in_channels = [images.source.channels, *levels[:-1]]
        self.stages = nn.ModuleList(_stage(*each, norm) for each in zip(in_channels, levels, strict=True))
        self.first = stride.bit_length() - 2  # the stage that halves to this stride
        self.votes = nn.ModuleList(nn.Conv2d(each, images.target.channels, 1) for each in levels[self.first :])
        self.planes = ClassPlanes()

    def forward(self, source: Tensor) -> Tensor:
        """Vote on each pixel's class."""
        image, levels = source, []
        for stage in self.stages:
            image = stage(image)
            levels.append(image)
        casts: list[Tensor] = [vote(level) for vote, level in zip(self.votes, levels[self.first :], strict=True)]
        logits = casts.pop()
        for cast in reversed(casts):
            logits = cast + _enlarged(logits, cast)
        planes: Tensor = self.planes(_enlarged(logits, source))
        return planes


def _stage(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    layers = *convolve(in_channels, out_channels, norm), *convolve(out_channels, out_channels, norm)
    return nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True))


def _enlarged(votes: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(votes, like.shape[2:], mode="bilinear")
