"""A pretrained latent diffusion model as a generator of one step: encoder, U-Net and decoder, adapted by low rank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from p2pkit import PairSpec
from p2pkit.layers import check_sides
from pydantic import Field
from torch import Tensor, nn

from p2pkit_diffusers.lora import adapt
from p2pkit_diffusers.pretrained import build, fill, signal_share

LAST_STEP = 999


class Latent(nn.Module):
    """Encodes the source, takes one step of denoising, and decodes; skips lead around the latent.

    Args:
        images: What the run's images are.
        folder: The model's folder.
        rank: Of the U-Net's small layers, and of the encoder's and decoder's.
        skips: Whether the decoder sees the encoder's levels.
        tokens: How many tokens are learned in place of a text.
    """

    timestep: Tensor

    def __init__(self, images: PairSpec, folder: Path, rank: tuple[int, int], *, skips: bool, tokens: int) -> None:
        super().__init__()
        vae, unet = (build(folder, part) for part in ("vae", "unet"))
        sides: Any = vae.config
        inner: Any = unet.config
        halvings = len(sides.block_out_channels) + len(inner.block_out_channels) - 2
        self.multiple = 2**halvings
        check_sides(images, "diffusers_latent", self.multiple)
        missing = [fill(network, folder, part) for network, part in ((vae, "vae"), (unet, "unet"))]
        self._lacking = next((error for error in missing if error is not None), None)
        adapt(unet, rank[0])
        adapt(vae, rank[1])
        self.vae, self.unet, self.scale = vae, unet, float(sides.scaling_factor)
        self.share = signal_share(folder)
        self.tokens = nn.Parameter(torch.randn(1, tokens, int(inner.cross_attention_dim)))
        self.register_buffer("timestep", torch.tensor([LAST_STEP]), persistent=False)
        self.read = _fitted(images.source.channels, int(sides.in_channels))
        self.write = _fitted(int(sides.out_channels), images.target.channels)
        levels = list(sides.block_out_channels)
        widths = zip(reversed([levels[0], *levels[:-1]]), [levels[-1], *reversed(levels[1:])], strict=True)
        self.skips = nn.ModuleList([_silent(*pair) for pair in widths] if skips else [])
        self.register_load_state_dict_post_hook(_forgive)  # type: ignore[no-untyped-call]  # torch's

    def forward(self, source: Tensor) -> Tensor:
        """Make a fake of a source."""
        if self._lacking is not None:
            raise self._lacking
        latent, levels = self._encode(self.read(source))
        steps = self.timestep.expand(len(source))
        tokens = self.tokens.expand(len(source), -1, -1)
        noise = self.unet(latent, steps, encoder_hidden_states=tokens, return_dict=False)[0]
        clean = (latent - (1 - self.share) ** 0.5 * noise) / self.share**0.5
        fake: Tensor = self.write(self._decode(clean / self.scale, levels))
        return fake.clamp(-1, 1)

    def _encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the latent's mean, and what enters each level of the encoder."""
        vae: Any = self.vae
        encoder, levels = vae.encoder, []
        maps = encoder.conv_in(image)
        for block in encoder.down_blocks:
            levels.append(maps)
            maps = block(maps)
        maps = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(encoder.mid_block(maps))))
        moments = vae.quant_conv(maps) if vae.quant_conv is not None else maps
        return moments.chunk(2, 1)[0] * self.scale, levels

    def _decode(self, latent: Tensor, levels: list[Tensor]) -> Tensor:
        vae: Any = self.vae
        decoder = vae.decoder
        maps = vae.post_quant_conv(latent) if vae.post_quant_conv is not None else latent
        maps = decoder.mid_block(decoder.conv_in(maps))
        for number, block in enumerate(decoder.up_blocks):
            if len(self.skips):
                maps = maps + self.skips[number](levels[-1 - number])
            maps = block(maps)
        image: Tensor = decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(maps)))
        return image


def _fitted(given: int, wanted: int) -> nn.Module:
    """Return what leads from one number of channels to another; nothing where they are the same."""
    return nn.Identity() if given == wanted else nn.Conv2d(given, wanted, 1)


def _silent(given: int, wanted: int) -> nn.Conv2d:
    """Return a skip that says nothing at first, so that the pretrained decoder is what it was."""
    skip = nn.Conv2d(given, wanted, 1, bias=False)
    nn.init.zeros_(skip.weight)
    return skip


def _forgive(network: Latent, keys: object) -> None:
    """Weights of a checkpoint stand in for the pretrained ones."""
    network._lacking = None


def diffusers_latent(
    images: PairSpec,
    *,
    model: Annotated[
        Path,
        Field(description="Folder of a latent diffusion model: vae, unet and scheduler, as save_pretrained writes."),
    ],
    rank: Annotated[int, Field(ge=0, le=256, description="Rank of what is learned beside the U-Net; 0: nothing.")] = 8,
    vae_rank: Annotated[
        int, Field(ge=0, le=256, description="Rank of what is learned beside encoder and decoder; 0: nothing.")
    ] = 4,
    skips: Annotated[bool, Field(description="Whether the decoder sees the encoder's levels.")] = True,
    tokens: Annotated[int, Field(ge=1, le=1024, description="Tokens that are learned in place of a text.")] = 8,
) -> Latent:
    """A pretrained latent diffusion model, adapted to one step from source to fake, as pix2pix-turbo is.

    Args:
        images: What the run's images are.
        model: The model's folder.
        rank: Rank of what is learned beside the U-Net's frozen layers.
        vae_rank: Rank of what is learned beside the encoder's and decoder's.
        skips: Whether the decoder sees the encoder's levels, by convolutions that are zero at first.
        tokens: Tokens that are learned in place of a text.

    Returns:
        The generator; weights that can't be read are reported when it is first called without others.

    Raises:
        ComponentError: The folder holds no such model, or the images' sides don't fit.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]; H, W multiples of what
    encoder and U-Net halve together, 64 for Stable Diffusion.
    Source: Parmar et al. 2024, arXiv:2403.12036, section 3.
    """
    return Latent(images, model, (rank, vae_rank), skips=skips, tokens=tokens)
