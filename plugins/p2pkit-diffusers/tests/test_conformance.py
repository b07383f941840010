"""p2pkit's rules for plugins, with small networks."""

from __future__ import annotations

import tempfile

from p2pkit.testing import conformance

from p2pkit_diffusers import save_tiny

SMALL = {"channels": (8, 16), "layers": 1, "norm_groups": 4}
FOLDER = tempfile.TemporaryDirectory()

TestDiffusers = conformance(
    "diffusers",
    examples={
        "diffusers_unet": {**SMALL, "head_width": 8, "condition": "z"},
        "diffusers_attention_unet": {**SMALL, "heads": 2, "tokens": 2, "token_width": 6, "condition": "z"},
        "diffusers_latent": {"model": str(save_tiny(FOLDER.name)), "rank": 2, "vae_rank": 2, "tokens": 2},
    },
    long=("diffusers_attention_unet", "diffusers_latent", "diffusers_unet-compile"),  # one keeps all rules in each run
)
