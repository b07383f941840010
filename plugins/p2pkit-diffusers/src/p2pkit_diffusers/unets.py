"""The U-Nets that denoise in diffusion models, asked once for a whole image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from p2pkit import ComponentError, PairSpec
from p2pkit.layers import Condition, Dropout, Final, activation, check_sides, condition_size
from pydantic import Field
from torch import Tensor, nn

from p2pkit_diffusers.library import check_groups, made

Channels = Annotated[
    tuple[Annotated[int, Field(ge=1, le=4096)], ...],
    Field(min_length=2, max_length=8, description="Channels of the levels, full size first; each halves the sides."),
]
Layers = Annotated[int, Field(ge=1, le=8, description="Residual blocks of each level.")]
AttentionLevels = Annotated[int, Field(ge=0, le=8, description="How many of the deepest levels have attention.")]
Groups = Annotated[int, Field(ge=1, le=256, description="Groups of the group norms, which divide all channels.")]
Timestep = Annotated[int, Field(ge=0, le=999, description="The step of diffusion that the network is told.")]


class OneStep(nn.Module):
    """A denoiser that is asked once, at one step of diffusion.

    Args:
        unet: A U-Net of diffusers.
        timestep: The step that it is told.
        levels: How many levels it has.
        final: Activation of its last layer.
        condition: A vector beside the images by its name and its numbers, and of how many numbers the network wants
            it; None for none.
    """

    timestep: Tensor

    def __init__(
        self, unet: nn.Module, timestep: int, levels: int, final: str, condition: tuple[str, int, int] | None
    ) -> None:
        super().__init__()
        self.unet, self.final = unet, activation(final)
        # a tensor where the network is: diffusers would copy a number to the device in each step
        self.register_buffer("timestep", torch.tensor([timestep]), persistent=False)
        self.multiple: int = 2 ** (levels - 1)
        if condition is not None:
            name, size, wanted = condition
            self.takes: tuple[str, ...] = (name,)
            self.vector = nn.Linear(size, wanted)
        else:
            self.takes = ()

    def answer(self, source: Tensor, **given: Any) -> Tensor:
        """Ask the network, and bound its answer."""
        steps = self.timestep.expand(len(source))
        fake: Tensor = self.final(self.unet(source, steps, return_dict=False, **given)[0])
        return fake

    def told(self, extras: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the vector beside the images, if the network is told one."""
        return [self.vector(extras[name]) for name in self.takes]


class Unconditional(OneStep):
    """UNet2DModel; a vector beside the images is added to the embedding of the step, which shifts all blocks."""

    def forward(self, source: Tensor, **extras: Tensor) -> Tensor:
        """Make a fake of a source."""
        return self.answer(source, class_labels=next(iter(self.told(extras)), None))


class Attending(OneStep):
    """UNet2DConditionModel; its cross attention looks at tokens that are learned, and at one of a vector beside them.

    Args:
        *network: As for `OneStep`.
        tokens: How many tokens are learned, and of how many numbers.
    """

    def __init__(self, *network: Any, tokens: tuple[int, int]) -> None:
        super().__init__(*network)
        self.tokens = nn.Parameter(torch.randn(1, *tokens))

    def forward(self, source: Tensor, **extras: Tensor) -> Tensor:
        """Make a fake of a source."""
        told = [vector[:, None] for vector in self.told(extras)]
        tokens = torch.cat([self.tokens.expand(len(source), -1, -1), *told], 1)
        return self.answer(source, encoder_hidden_states=tokens)


def diffusers_unet(
    images: PairSpec,
    *,
    channels: Channels = (64, 128, 256, 256),
    layers: Layers = 2,
    attention_levels: AttentionLevels = 1,
    head_width: Annotated[int, Field(ge=1, le=1024, description="Channels of an attention head.")] = 32,
    norm_groups: Groups = 32,
    dropout: Dropout = 0.0,
    timestep: Timestep = 0,
    condition: Condition = None,
    final: Final = "tanh",
) -> Unconditional:
    """The UNet2DModel of diffusers, the network of DDPM, asked once.

    Args:
        images: What the run's images are.
        channels: Channels of the levels, full size first.
        layers: Residual blocks of each level.
        attention_levels: How many of the deepest levels have self-attention.
        head_width: Channels of an attention head.
        norm_groups: Groups of the group norms.
        dropout: Rate of the dropout in residual blocks.
        timestep: The step of diffusion that the network is told.
        condition: Vector beside the images that shifts all blocks, as the step does; none by default.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: Sides or channels can't be divided as is asked for, or there is no vector to condition on.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of
    2**(levels - 1).
    Source: Ho et al. 2020, arXiv:2006.11239, appendix B.
    """
    _check(images, "diffusers_unet", channels, norm_groups)
    if any(each % head_width for each in _deepest(channels, attention_levels)):
        raise ComponentError(
            f"heads of {head_width} channels do not divide those of {channels}", parameter="head_width"
        )
    unet = _unet(
        *("UNet2DModel", "Attn", images, channels, attention_levels, norm_groups),
        layers_per_block=layers,
        attention_head_dim=head_width,
        dropout=dropout,
        add_attention=attention_levels > 0,
        class_embed_type=None if condition is None else "identity",
    )
    vector = _vector(images, condition, unet.time_embedding.linear_2.out_features)
    return Unconditional(unet, timestep, len(channels), final, vector)


def diffusers_attention_unet(
    images: PairSpec,
    *,
    channels: Channels = (64, 128, 256, 256),
    layers: Layers = 2,
    attention_levels: AttentionLevels = 2,
    heads: Annotated[int, Field(ge=1, le=64, description="Attention heads, which divide the channels.")] = 8,
    tokens: Annotated[int, Field(ge=1, le=1024, description="How many tokens are learned to be looked at.")] = 8,
    token_width: Annotated[int, Field(ge=1, le=4096, description="Numbers of a token.")] = 128,
    norm_groups: Groups = 32,
    dropout: Dropout = 0.0,
    timestep: Timestep = 0,
    condition: Condition = None,
    final: Final = "tanh",
) -> Attending:
    """The UNet2DConditionModel of diffusers, Stable Diffusion's network, asked once; in place of a text it has tokens.

    Args:
        images: What the run's images are.
        channels: Channels of the levels, full size first.
        layers: Residual blocks of each level.
        attention_levels: How many of the deepest levels have self- and cross-attention.
        heads: Attention heads.
        tokens: How many tokens are learned for the cross attention to look at.
        token_width: Numbers of a token.
        norm_groups: Groups of the group norms.
        dropout: Rate of the dropout.
        timestep: The step of diffusion that the network is told.
        condition: Vector beside the images that becomes one more token; none by default.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: Sides or channels can't be divided as is asked for, or there is no vector to condition on.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of
    2**(levels - 1).
    Source: Rombach et al. 2022, arXiv:2112.10752, section 3.3.
    """
    _check(images, "diffusers_attention_unet", channels, norm_groups)
    if any(each % heads for each in (channels[-1], *_deepest(channels, attention_levels))):
        raise ComponentError(f"{heads} heads do not divide the channels of {channels}", parameter="heads")
    unet = _unet(
        *("UNet2DConditionModel", "CrossAttn", images, channels, attention_levels, norm_groups),
        layers_per_block=layers,
        attention_head_dim=heads,  # which in this model is their number
        dropout=dropout,
        cross_attention_dim=token_width,
    )
    vector = _vector(images, condition, token_width)
    return Attending(unet, timestep, len(channels), final, vector, tokens=(tokens, token_width))


def _unet(
    name: str,
    attending: str,
    images: PairSpec,
    channels: tuple[int, ...],
    attention_levels: int,
    groups: int,
    **own: Any,
) -> Any:
    """Make one of diffusers' U-Nets, whose deepest levels are blocks that attend."""
    plain = max(0, len(channels) - attention_levels)
    blocks = [""] * plain + [attending] * (len(channels) - plain)
    return made(
        name,
        in_channels=images.source.channels,
        out_channels=images.target.channels,
        block_out_channels=tuple(channels),
        down_block_types=tuple(f"{block}DownBlock2D" for block in blocks),
        up_block_types=tuple(f"{block}UpBlock2D" for block in reversed(blocks)),
        norm_num_groups=groups,
        **own,
    )


def _check(images: PairSpec, name: str, channels: tuple[int, ...], groups: int) -> None:
    check_sides(images, name, 2 ** (len(channels) - 1), parameter="channels", instead="take fewer levels")
    check_groups(channels, groups)


def _deepest(channels: tuple[int, ...], count: int) -> tuple[int, ...]:
    return channels[max(0, len(channels) - count) :]


def _vector(images: PairSpec, name: str | None, wanted: int) -> tuple[str, int, int] | None:
    return None if name is None else (name, condition_size(images, name), wanted)
