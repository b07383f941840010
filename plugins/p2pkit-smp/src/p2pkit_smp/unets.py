"""Architectures whose decoders end at full size, each with its parameters spelt out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from p2pkit import PairSpec
from p2pkit.layers import Final
from p2pkit_smp.network import Design, SmpGenerator, make
from p2pkit_smp.parameters import Attention, Encoder, Interpolation, Levels, Norm, Weights

LEVELS = (256, 128, 64, 32, 16)


def smp_unet(
    images: PairSpec,
    *,
    encoder: Encoder = "resnet34",
    weights: Weights = None,
    channels: Levels = LEVELS,
    attention: Attention = None,
    interpolation: Interpolation = "nearest",
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """U-Net with any encoder.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        channels: Channels of the decoder's blocks, deepest first.
        attention: Attention in the decoder's blocks.
        interpolation: How the decoder doubles the sides.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what the
    encoder needs, mostly 32.
    Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 1.
    """
    options = (
        ("encoder_depth", len(channels)),
        ("decoder_channels", channels),
        ("decoder_attention_type", attention),
        ("decoder_interpolation", interpolation),
    )
    design = Design("smp_unet", "Unet", encoder, options, doublings=0, norm=norm, final=final)
    return make(design, images, weights)


def smp_unet_plus_plus(
    images: PairSpec,
    *,
    encoder: Encoder = "resnet34",
    weights: Weights = None,
    channels: Levels = LEVELS,
    attention: Attention = None,
    interpolation: Interpolation = "nearest",
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """U-Net++ with any encoder: nested blocks in place of plain skips.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        channels: Channels of the decoder's blocks, deepest first.
        attention: Attention in the decoder's blocks.
        interpolation: How the decoder doubles the sides.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what the
    encoder needs, mostly 32.
    Source: Zhou et al. 2018, arXiv:1807.10165, section 3.
    """
    options = (
        ("encoder_depth", len(channels)),
        ("decoder_channels", channels),
        ("decoder_attention_type", attention),
        ("decoder_interpolation", interpolation),
    )
    design = Design("smp_unet_plus_plus", "UnetPlusPlus", encoder, options, doublings=0, norm=norm, final=final)
    return make(design, images, weights)


def smp_manet(
    images: PairSpec,
    *,
    encoder: Encoder = "resnet34",
    weights: Weights = None,
    channels: Levels = LEVELS,
    attention_channels: Annotated[
        int, Field(ge=1, le=4096, description="Channels of the position-wise attention.")
    ] = 64,
    interpolation: Interpolation = "nearest",
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """MA-Net with any encoder: attention over positions at the bottom, over channels at the skips.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        channels: Channels of the decoder's blocks, deepest first.
        attention_channels: Channels of the position-wise attention.
        interpolation: How the decoder doubles the sides.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what the
    encoder needs, mostly 32.
    Source: Fan et al. 2020, doi:10.1109/ACCESS.2020.3025372, section 3.
    """
    options = (
        ("encoder_depth", len(channels)),
        ("decoder_channels", channels),
        ("decoder_pab_channels", attention_channels),
        ("decoder_interpolation", interpolation),
    )
    design = Design("smp_manet", "MAnet", encoder, options, doublings=0, norm=norm, final=final)
    return make(design, images, weights)


def smp_linknet(
    images: PairSpec,
    *,
    encoder: Encoder = "resnet34",
    weights: Weights = None,
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """LinkNet with any encoder: a light decoder whose levels are added to the encoder's.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what the
    encoder needs, mostly 32.
    Source: Chaurasia and Culurciello 2017, arXiv:1707.03718, section 3.
    """
    options = ()
    design = Design("smp_linknet", "Linknet", encoder, options, doublings=0, norm=norm, final=final)
    return make(design, images, weights)
