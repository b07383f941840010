import torch
from torch import nn

import p2pkit


class MyUNet(nn.Module):
    """A U-Net of one level."""

    def __init__(self, images: p2pkit.PairSpec, *, width: int = 16) -> None:
        super().__init__()
        self.down = nn.Conv2d(images.source.channels, width, 4, 2, 1)
        self.middle = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1), nn.ReLU())
        self.up = nn.ConvTranspose2d(2 * width, images.target.channels, 4, 2, 1)

    def forward(self, source):
        level = self.down(source)
        return self.up(torch.cat([level, self.middle(level)], 1)).tanh()


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("my_unet", MyUNet)
