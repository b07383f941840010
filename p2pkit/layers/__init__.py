"""What networks are made of, for built-ins and plugins alike: parameters, blocks, initial weights, sizes."""

from __future__ import annotations

from p2pkit.layers.blocks import PixelShuffleUp, ResidualBlock, convolve, drop, same_convolution, upsample
from p2pkit.layers.ends import IMAGENET_MEAN, IMAGENET_STD, ClassPlanes, Standardise, activation
from p2pkit.layers.film import FiLM, condition_size
from p2pkit.layers.initial import initialise
from p2pkit.layers.latent import draw_latent, kl_to_normal
from p2pkit.layers.norms import needs_bias, normalise
from p2pkit.layers.parameters import Bias, Condition, Dropout, Final, InitStd, Norm, Padding, Upsampling, Width
from p2pkit.layers.sizes import check_depth, check_sides, halvings, nearest_size, widths

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Bias",
    "ClassPlanes",
    "Condition",
    "Dropout",
    "FiLM",
    "Final",
    "InitStd",
    "Norm",
    "Padding",
    "PixelShuffleUp",
    "ResidualBlock",
    "Standardise",
    "Upsampling",
    "Width",
    "activation",
    "check_depth",
    "check_sides",
    "condition_size",
    "convolve",
    "draw_latent",
    "drop",
    "halvings",
    "initialise",
    "kl_to_normal",
    "nearest_size",
    "needs_bias",
    "normalise",
    "same_convolution",
    "upsample",
    "widths",
]
