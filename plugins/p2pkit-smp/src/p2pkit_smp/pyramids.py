"""Architectures whose decoders end below full size, each with its parameters spelt out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from p2pkit import ComponentError, PairSpec
from p2pkit.layers import Dropout, Final
from p2pkit_smp.network import Design, SmpGenerator, make
from p2pkit_smp.parameters import Channels, Encoder, Interpolation, Norm, Weights

Rate = Annotated[int, Field(ge=1, le=128)]


def smp_fpn(
    images: PairSpec,
    *,
    encoder: Encoder = "resnet34",
    weights: Weights = None,
    pyramid_channels: Annotated[int, Field(ge=8, le=4096, description="Channels of the pyramid's levels.")] = 256,
    channels: Annotated[int, Field(ge=32, le=4096, multiple_of=32, description="Channels of the merged levels.")] = 128,
    merge: Annotated[
        Literal["add", "cat"], Field(description="Whether the levels are added or laid side by side.")
    ] = "add",
    interpolation: Interpolation = "nearest",
    dropout: Dropout = 0.2,
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """Feature pyramid with any encoder; the decoder ends at a quarter of the size, the head brings it to the full one.

    The decoder's own norms are group norms; `norm` is the head's.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        pyramid_channels: Channels of the pyramid's levels.
        channels: Channels of the decoder.
        merge: Whether the levels are added or laid side by side.
        interpolation: How the decoder doubles the sides.
        dropout: Share of activations that the decoder sets to zero.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what the
    encoder needs, mostly 32.
    Source: Kirillov et al. 2019, arXiv:1901.02446, section 3.
    """
    options = (
        ("decoder_pyramid_channels", pyramid_channels),
        ("decoder_segmentation_channels", channels),
        ("decoder_merge_policy", merge),
        ("decoder_interpolation", interpolation),
        ("decoder_dropout", dropout),
    )
    design = Design("smp_fpn", "FPN", encoder, options, doublings=2, norm=norm, final=final)
    return make(design, images, weights)


def smp_deeplabv3_plus(
    images: PairSpec,
    *,
    encoder: Encoder = "resnet34",
    weights: Weights = None,
    output_stride: Annotated[
        Literal[8, 16], Field(description="How much smaller than the image the encoder's last features are.")
    ] = 16,
    channels: Channels = 256,
    rates: Annotated[tuple[Rate, Rate, Rate], Field(description="Dilations of the three parallel convolutions.")] = (
        12,
        24,
        36,
    ),
    dropout: Dropout = 0.5,
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """DeepLabV3+ with any encoder that can be dilated; the head goes from a quarter of the size to the full one.

    Behind its global pooling stands group norm: batch norm can't be computed of one pixel in a batch of one.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        output_stride: How much smaller than the image the encoder's last features are.
        channels: Channels of the decoder.
        rates: Dilations of the three parallel convolutions.
        dropout: Share of activations that the decoder sets to zero.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what the
    encoder needs, mostly 32.
    Source: Chen et al. 2018, arXiv:1802.02611, section 3.
    """
    options = (
        ("encoder_output_stride", output_stride),
        ("decoder_channels", channels),
        ("decoder_atrous_rates", rates),
        ("decoder_aspp_dropout", dropout),
    )
    design = Design("smp_deeplabv3_plus", "DeepLabV3Plus", encoder, options, doublings=2, norm=norm, final=final)
    return make(design, images, weights)


def smp_upernet(
    images: PairSpec,
    *,
    encoder: Encoder = "resnet34",
    weights: Weights = None,
    channels: Channels = 256,
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """UPerNet with any encoder; the head goes from a quarter of the size to the full one.

    Behind its global pooling stands group norm: batch norm can't be computed of one pixel in a batch of one.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        channels: Channels of the decoder.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what the
    encoder needs, mostly 32.
    Source: Xiao et al. 2018, arXiv:1807.10221, section 3.2.
    """
    options = (("decoder_channels", channels),)
    design = Design("smp_upernet", "UPerNet", encoder, options, doublings=2, norm=norm, final=final)
    return make(design, images, weights)


def smp_segformer(
    images: PairSpec,
    *,
    encoder: Encoder = "mit_b0",
    weights: Weights = None,
    channels: Channels = 256,
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """SegFormer's decoder with any encoder, its own being mit_b0 to mit_b5; the head goes from a quarter to full size.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        channels: Channels of the decoder.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what the
    encoder needs, mostly 32.
    Source: Xie et al. 2021, arXiv:2105.15203, section 3.2.
    """
    options = (("decoder_segmentation_channels", channels),)
    design = Design("smp_segformer", "Segformer", encoder, options, doublings=2, norm=norm, final=final)
    return make(design, images, weights)


def smp_dpt(
    images: PairSpec,
    *,
    encoder: Encoder = "tu-vit_small_patch16_224",
    weights: Weights = None,
    channels: Channels = 256,
    readout: Annotated[
        Literal["ignore", "add", "cat"],
        Field(description="What becomes of the transformer's token for the whole image."),
    ] = "cat",
    norm: Norm = "batch",
    final: Final = "tanh",
) -> SmpGenerator:
    """Dense prediction transformer with vision transformers of timm; the head brings half the size to the full one.

    Args:
        images: What the run's images are.
        encoder: Name of an encoder.
        weights: The encoder's first weights.
        channels: Channels of the decoder.
        readout: What becomes of the transformer's token for the whole image.
        norm: Normalisation of decoder and head.
        final: Activation of the last layer.

    Returns:
        The generator.

    Raises:
        ComponentError: The encoder is unknown or does not fit, or the images' sides don't.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of 32.
    Source: Ranftl et al. 2021, arXiv:2103.13413, section 3.
    """
    if not encoder.startswith("tu-"):
        remedy = "use a vision transformer of timm, for instance tu-vit_small_patch16_224"
        raise ComponentError(
            f"smp_dpt needs timm's encoders, and {encoder} is not one", remedy=remedy, parameter="encoder"
        )
    options = (
        ("decoder_fusion_channels", channels),
        ("decoder_readout", readout),
    )
    design = Design("smp_dpt", "DPT", encoder, options, doublings=1, norm=norm, final=final, least=32)
    return make(design, images, weights)
