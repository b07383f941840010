"""A tiny latent model with random weights, to try configs and write tests by, without files of gigabytes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

CHANNELS = (4, 8)


def save_tiny(folder: str | Path) -> Path:
    """Write vae, unet and scheduler of a model like Stable Diffusion, a few kilobytes large.

    Args:
        folder: Where to; the same weights each time.

    Returns:
        The folder.
    """
    library: Any = import_module("diffusers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = library.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=CHANNELS,
            norm_num_groups=2,
        )
        unet = library.UNet2DConditionModel(
            block_out_channels=CHANNELS,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=6,
            attention_head_dim=2,
            norm_num_groups=2,
        )
    scheduler = library.DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    for name, part in {"vae": vae, "unet": unet, "scheduler": scheduler}.items():
        part.save_pretrained(Path(folder, name))
    return Path(folder)
