"""The coarse-to-fine generator: a global one, and local enhancers that work at twice its resolution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from p2pkit import ComponentError, PairSpec
from p2pkit.layers import InitStd, Padding, check_sides, initialise
from pydantic import Field
from torch import Tensor, nn

from p2pkit_pix2pixhd.layers import Norm, Style, Upsampling
from p2pkit_pix2pixhd.weights import Weights, take_over

Width = Annotated[int, Field(ge=1, le=512, description="Channels at full resolution.")]
Blocks = Annotated[int, Field(ge=0, le=64, description="Residual blocks of the global generator.")]
Halvings = Annotated[int, Field(ge=1, le=8, description="Halvings inside the global generator.")]


class GlobalFeatures(nn.Sequential):
    """The global generator up to its last feature map.

    Args:
        channels: Channels of the source.
        width: Channels at full resolution.
        halvings: Number of halvings, and of doublings.
        blocks: Number of residual blocks.
        style: What all layers share.

    Shape: (B, channels, H, W) -> (B, width, H, W).
    """

    def __init__(self, channels: int, width: int, halvings: int, blocks: int, style: Style) -> None:
        widths = [width * 2**level for level in range(halvings + 1)]
        down = [style.down(each) for each in widths[:-1]]
        middle = [style.block(widths[-1]) for _ in range(blocks)]
        up = [style.up(each) for each in reversed(widths[1:])]
        super().__init__(style.first(channels, width), *down, *middle, *up)


class LocalFeatures(nn.Module):
    """An enhancer up to its last feature map; it adds the features of a generator that sees half the resolution.

    Args:
        channels: Channels of the source.
        width: Channels at full resolution.
        blocks: Number of residual blocks.
        coarse: What makes features of half the resolution, 2 width of them.
        style: What all layers share.

    Shape: (B, channels, H, W) -> (B, width, H, W).
    """

    def __init__(self, channels: int, width: int, blocks: int, coarse: nn.Module, style: Style) -> None:
        super().__init__()
        self.front = nn.Sequential(style.first(channels, width), style.down(width))
        self.back = nn.Sequential(*(style.block(2 * width) for _ in range(blocks)), style.up(2 * width))
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        # last, so that optimisers number the same parameters alike whether it is trained or not
        self.coarse = coarse

    def forward(self, source: Tensor) -> Tensor:
        """Make features of a source."""
        features: Tensor = self.back(self.front(source) + self.coarse(self.pool(source)))
        return features


class _Generator(nn.Module):
    """Features and the layer that makes an image of them."""

    def __init__(self, images: PairSpec, width: int, features: nn.Module, style: Style) -> None:
        super().__init__()
        self.head = style.last(width, images.target.channels)
        self.features = features
        self.lacking: ComponentError | None = None

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        if self.lacking is not None:
            raise self.lacking
        fake: Tensor = self.head(self.features(source))
        return fake

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load a checkpoint; the weights to begin from are then no longer missed, wherever they have gone."""
        loaded = super().load_state_dict(state_dict, strict, assign)
        self.lacking = None
        return loaded


class GlobalGenerator(_Generator):
    """pix2pixHD's global generator: four halvings, nine residual blocks, four doublings.

    Args:
        images: What the run's images are.
        width: Channels at full resolution; the blocks have 2**halvings times as many.
        halvings: Number of halvings, and of doublings.
        blocks: Number of residual blocks.
        norm: Normalisation after each convolution.
        padding: What the blocks and the 7 x 7 convolutions see beyond the border.
        upsampling: How sides are doubled.
        weights: Run or checkpoint of the same network to begin from.
        init_std: Standard deviation of the initial weights.

    Raises:
        ComponentError: The images' sides are not multiples of 2**halvings, or under twice that; from the first
            forward pass, that the weights can't be used.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of
    2**halvings.
    Source: Wang et al. 2018, arXiv:1711.11585, section 3.1 and appendix (generator architectures).
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        width: Width = 64,
        halvings: Halvings = 4,
        blocks: Blocks = 9,
        norm: Norm = "instance",
        padding: Padding = "reflect",
        upsampling: Upsampling = "transposed",
        weights: Weights = None,
        init_std: InitStd = 0.02,
    ) -> None:
        _check_sides(images, "pix2pixhd_global", 2**halvings)
        style = Style(norm, padding, upsampling)
        super().__init__(images, width, GlobalFeatures(images.source.channels, width, halvings, blocks, style), style)
        self.multiple = 2**halvings
        initialise(self, init_std)
        if weights is not None:
            self.lacking = take_over(self, weights)


class LocalGenerator(_Generator):
    """pix2pixHD's local enhancer around the global generator, which works at half the resolution.

    It begins from `weights` of the generator of half the resolution (the global one, or this one with an enhancer
    fewer and twice the width), whose last layer goes, or of this very network. With `train_coarse: false` what was
    taken over stays as it is.

    Args:
        images: What the run's images are.
        width: Channels at full resolution; the global generator inside has 2**enhancers times as many.
        enhancers: Number of enhancers, each working at twice the resolution of what is inside it.
        local_blocks: Residual blocks of each enhancer.
        halvings: Halvings inside the global generator.
        blocks: Residual blocks of the global generator.
        norm: Normalisation after each convolution.
        padding: What the blocks and the 7 x 7 convolutions see beyond the border.
        upsampling: How sides are doubled.
        weights: Run or checkpoint to begin from.
        train_coarse: Whether all of it learns, or the outermost enhancer alone.
        init_std: Standard deviation of the initial weights.

    Raises:
        ComponentError: The images' sides are not multiples of 2**(halvings + enhancers), or under twice that; or
            nothing was given that could stay as it is; from the first forward pass, that the weights can't be used.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of
    2**(halvings + enhancers).
    Source: Wang et al. 2018, arXiv:1711.11585, section 3.1 and appendix (generator architectures).
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        width: Width = 32,
        enhancers: Annotated[int, Field(ge=1, le=4, description="Number of enhancers around one another.")] = 1,
        local_blocks: Annotated[int, Field(ge=0, le=64, description="Residual blocks of each enhancer.")] = 3,
        halvings: Halvings = 4,
        blocks: Blocks = 9,
        norm: Norm = "instance",
        padding: Padding = "reflect",
        upsampling: Upsampling = "transposed",
        weights: Weights = None,
        train_coarse: Annotated[
            bool, Field(description="Whether all of it learns; false for the outermost enhancer alone.")
        ] = True,
        init_std: InitStd = 0.02,
    ) -> None:
        multiple = 2 ** (halvings + enhancers)
        _check_sides(images, "pix2pixhd_local", multiple)
        style, channels = Style(norm, padding, upsampling), images.source.channels
        features: nn.Module = GlobalFeatures(channels, width * 2**enhancers, halvings, blocks, style)
        for level in reversed(range(enhancers)):
            features = LocalFeatures(channels, width * 2**level, local_blocks, features, style)
        super().__init__(images, width, features, style)
        self.multiple = multiple
        self.frozen = not train_coarse
        initialise(self, init_std)
        if weights is not None:
            self.lacking = take_over(self, weights, "coarse")
        if self.frozen:
            self._freeze(weights)

    def train(self, mode: bool = True) -> Self:
        """Choose between training and evaluation; batch norm's statistics inside what is frozen stay too."""
        super().train(mode)
        if self.frozen:
            self.features.get_submodule("coarse").eval()
        return self

    def _freeze(self, weights: Path | None) -> None:
        if weights is None and self.lacking is None:
            self.lacking = ComponentError(
                "the coarse generator is not to be trained, and there are no weights to give it",
                remedy="name a trained pix2pixhd_global by `weights`, or train it too",
                parameter="train_coarse",
            )
        self.features.get_submodule("coarse").requires_grad_(False)
        self.train()


def _check_sides(images: PairSpec, name: str, multiple: int) -> None:
    """Refuse sides that do not fit, and those that leave one pixel in the middle, which no norm can work on."""
    check_sides(images, name, multiple, least=2 * multiple, parameter="halvings", instead="use fewer halvings")
