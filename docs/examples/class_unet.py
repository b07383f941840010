"""A small U-Net that is told which class an image is to become."""

import torch
from torch import nn

import p2pkit

P2PKIT_PLUGIN_API = 2


class ClassUNet(nn.Module):
    """A U-Net of one level, whose bottleneck is shifted by the class.

    Shape: source (B, C_source, H, W) in [-1, 1], season (B, classes) -> fake (B, C_target, H, W) in [-1, 1].
    Source: p2pkit's documentation.
    """

    multiple = 2

    def __init__(self, images):
        super().__init__()
        self.down = nn.Conv2d(images.source.channels, 32, 4, 2, 1)
        self.shift = nn.Linear(images.extras["season"].size, 32)
        self.up = nn.ConvTranspose2d(32, 32, 4, 2, 1)
        self.last = nn.Conv2d(32 + images.source.channels, images.target.channels, 3, padding=1)

    def forward(self, source, season):
        inner = self.down(source) + self.shift(season)[:, :, None, None]
        return self.last(torch.cat([source, self.up(inner.relu()).relu()], 1)).tanh()


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("class_unet", ClassUNet, extras={"season": p2pkit.VectorSpec(2, "class")})
