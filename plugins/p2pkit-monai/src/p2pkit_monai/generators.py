"""MONAI's networks by name, each with the parameters that matter."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from p2pkit import ComponentError, PairSpec
from p2pkit.layers import Dropout, Final
from p2pkit_monai.network import MonaiGenerator, generator

_Channels = Annotated[int, Field(ge=1, le=4096)]
Channels = Annotated[
    tuple[_Channels, ...], Field(min_length=2, max_length=8, description="Channels of the levels, full size first.")
]
Strides = Annotated[
    tuple[Annotated[int, Field(ge=1, le=4)], ...] | None,
    Field(description="By how much each level's sides are smaller than those before; null: halved each time."),
]
Norm = Annotated[Literal["instance", "batch"], Field(description="Normalisation that follows the convolutions.")]


def monai_unet(
    images: PairSpec,
    *,
    channels: Channels = (16, 32, 64, 128, 256),
    strides: Strides = None,
    residual_units: Annotated[
        int,
        Field(ge=0, le=8, description="Convolutions of each level's residual unit; the last one normalises the image."),
    ] = 0,
    norm: Norm = "instance",
    dropout: Dropout = 0.0,
    final: Final = "tanh",
) -> MonaiGenerator:
    """MONAI's UNet: strided convolutions down and transposed ones up.

    With residual units MONAI puts a norm before the last convolution, behind which all images have one mean and
    deviation: for label maps it does no harm, and of intensities it takes the units. So there are none by default.

    Args:
        images: What the run's images are.
        channels: Channels of the levels, full size first.
        strides: By how much each level's sides are smaller.
        residual_units: Convolutions of each level's residual unit; 0 for plain convolutions.
        norm: Normalisation that follows the convolutions.
        dropout: Share of activations that are set to zero.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The images' sides don't fit, or there are not as many strides as steps between levels.

    Shape: source (B, C_source, H, W) or (B, C_source, D, H, W) in [-1, 1] -> fake (B, C_target, ...) in [-1, 1]; sides
    are multiples of the strides' product.
    Source: Kerfoot et al. 2019, doi:10.1007/978-3-030-12029-0_40, section 2.
    """
    steps = _strides(channels, strides)
    options = {"channels": channels, "strides": steps, "num_res_units": residual_units, "dropout": dropout}
    return generator("UNet", images, math.prod(steps), final, norm=norm.upper(), **options)


def monai_attention_unet(
    images: PairSpec,
    *,
    channels: Channels = (16, 32, 64, 128, 256),
    strides: Strides = None,
    dropout: Dropout = 0.0,
    final: Final = "tanh",
) -> MonaiGenerator:
    """MONAI's AttentionUnet: gates that weigh what the skip connections bring.

    Args:
        images: What the run's images are.
        channels: Channels of the levels, full size first.
        strides: By how much each level's sides are smaller.
        dropout: Share of activations that are set to zero.
        final: Activation of the last layer.

    Returns:
        The generator; its norm is batch norm.

    Raises:
        ComponentError: The images' sides don't fit, or there are not as many strides as steps between levels.

    Shape: source (B, C_source, H, W) or (B, C_source, D, H, W) in [-1, 1] -> fake (B, C_target, ...) in [-1, 1]; sides
    are multiples of the strides' product.
    Source: Oktay et al. 2018, arXiv:1804.03999, section 2.
    """
    if channels[0] < 2:
        raise ComponentError("the gates need two channels or more", parameter="channels")
    steps = _strides(channels, strides)
    options = {"channels": channels, "strides": steps, "dropout": dropout}
    return generator("AttentionUnet", images, math.prod(steps), final, **options)


def monai_unet_plus_plus(
    images: PairSpec,
    *,
    channels: Annotated[
        tuple[_Channels, ...],
        Field(min_length=6, max_length=6, description="Channels of the five levels, and of the features at the end."),
    ] = (32, 32, 64, 128, 256, 32),
    norm: Norm = "instance",
    upsampling: Annotated[
        Literal["deconv", "pixelshuffle", "nontrainable"], Field(description="How the decoder doubles the sides.")
    ] = "deconv",
    dropout: Dropout = 0.0,
    final: Final = "tanh",
) -> MonaiGenerator:
    """MONAI's BasicUNetPlusPlus: nested blocks in place of plain skips; the full one's answer is the fake.

    Args:
        images: What the run's images are.
        channels: Channels of the five levels, and of the features at the end.
        norm: Normalisation that follows the convolutions.
        upsampling: How the decoder doubles the sides.
        dropout: Share of activations that are set to zero.
        final: Activation of the last layer.

    Returns:
        The generator, without the heads for deep supervision, which nothing would train.

    Raises:
        ComponentError: The images' sides don't fit.

    Shape: source (B, C_source, H, W) or (B, C_source, D, H, W) in [-1, 1] -> fake (B, C_target, ...) in [-1, 1]; sides
    are multiples of 16.
    Source: Zhou et al. 2018, arXiv:1807.10165, section 3.
    """
    normalisation = (norm, {"affine": True})
    options = {"features": channels, "norm": normalisation, "upsample": upsampling, "dropout": dropout}
    made = generator("BasicUNetPlusPlus", images, 16, final, **options)
    for head in ("final_conv_0_1", "final_conv_0_2", "final_conv_0_3"):
        setattr(made.network, head, nn.Identity())
    return made


def monai_swin_unetr(
    images: PairSpec,
    *,
    width: Annotated[
        int, Field(ge=12, le=192, multiple_of=12, description="Channels of the first level; a multiple of 12.")
    ] = 24,
    blocks: Annotated[
        tuple[Annotated[int, Field(ge=1, le=32)], ...],
        Field(min_length=4, max_length=4, description="Transformer blocks of each of the four stages."),
    ] = (2, 2, 2, 2),
    heads: Annotated[
        tuple[Annotated[int, Field(ge=1, le=96)], ...],
        Field(min_length=4, max_length=4, description="Heads of the attention of each of the four stages."),
    ] = (3, 6, 12, 24),
    window: Annotated[int, Field(ge=2, le=32, description="Side of the windows in which attention looks.")] = 7,
    final: Final = "tanh",
) -> MonaiGenerator:
    """MONAI's SwinUNETR: an encoder of shifted windows of attention, a decoder of convolutions.

    Args:
        images: What the run's images are.
        width: Channels of the first level.
        blocks: Transformer blocks of each stage.
        heads: Heads of the attention of each stage.
        window: Side of the windows.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The images' sides don't fit, or the heads don't divide the channels.

    Shape: source (B, C_source, H, W) or (B, C_source, D, H, W) in [-1, 1] -> fake (B, C_target, ...) in [-1, 1]; sides
    are multiples of 32.
    Source: Hatamizadeh et al. 2022, arXiv:2201.01266, section 3.
    """
    wrong = [count for stage, count in enumerate(heads) if width * 2**stage % count]
    if wrong:
        cause = f"{wrong[0]} heads can't share the {width * 2 ** heads.index(wrong[0])} channels of their stage"
        raise ComponentError(cause, remedy="take numbers that divide width, 2, 4 and 8 times it", parameter="heads")
    options = {"feature_size": width, "depths": blocks, "num_heads": heads, "window_size": window}
    return generator("SwinUNETR", images, 32, final, **options)


def monai_dynunet(
    images: PairSpec,
    *,
    channels: Annotated[
        tuple[_Channels, ...],
        Field(min_length=3, max_length=8, description="Channels of the levels, full size first."),
    ] = (32, 64, 128, 256, 320),
    strides: Strides = None,
    residual: Annotated[bool, Field(description="Whether each level's convolutions are bridged.")] = False,
    norm: Norm = "instance",
    dropout: Annotated[
        float | None, Field(ge=0, lt=1, description="Share of activations that dropout sets to zero; null: no dropout.")
    ] = None,
    final: Final = "tanh",
) -> MonaiGenerator:
    """MONAI's DynUNet, the network of nnU-Net: two convolutions a level, transposed ones up.

    Args:
        images: What the run's images are.
        channels: Channels of the levels, full size first.
        strides: By how much each level's sides are smaller.
        residual: Whether each level's convolutions are bridged.
        norm: Normalisation that follows the convolutions.
        dropout: Share of activations that are set to zero.
        final: Activation of the last layer.

    Returns:
        The generator, without deep supervision.

    Raises:
        ComponentError: The images' sides don't fit, or there are not as many strides as steps between levels.

    Shape: source (B, C_source, H, W) or (B, C_source, D, H, W) in [-1, 1] -> fake (B, C_target, ...) in [-1, 1]; sides
    are multiples of the strides' product.
    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, section "Architecture template" of the methods.
    """
    steps = _strides(channels, strides)
    normalisation = (norm.upper(), {"affine": True})
    return generator(
        *("DynUNet", images, math.prod(steps), final),
        kernel_size=[3] * len(channels),
        strides=[1, *steps],
        upsample_kernel_size=[*steps],
        filters=channels,
        res_block=residual,
        norm_name=normalisation,
        dropout=dropout,
    )


def _strides(channels: tuple[int, ...], strides: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return one stride for each step from level to level."""
    steps = len(channels) - 1
    if strides is not None and len(strides) != steps:
        cause = f"{len(strides)} strides, where {len(channels)} levels have {steps} steps between them"
        raise ComponentError(cause, remedy=f"give {steps}", parameter="strides")
    return strides or (2,) * steps
