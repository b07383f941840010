"""A loss by which noise has to show in the fake."""

from torch import nn

import p2pkit

P2PKIT_PLUGIN_API = 2


class Latent(nn.Module):
    """How far what can be read from the fake is from the noise that it was made of.

    Source: Zhu et al. 2017, arXiv:1711.11586, equation 5.
    """

    def __init__(self, images):
        super().__init__()
        channels, size = images.target.channels, images.extras["z"].size
        first, second = nn.Conv2d(channels, 16, 4, 2, 1), nn.Conv2d(16, 32, 4, 2, 1)
        pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, size)
        self.read = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), *pooled)

    def generator(self, view):
        other = view.generate(view.source, z=-view.extras["z"])
        view.log("apart", (other - view.fake).abs().mean())
        return (self.read(view.fake) - view.extras["z"]).abs().mean()


@p2pkit.hookimpl
def p2pkit_losses():
    yield p2pkit.Loss("latent", Latent, extras={"z": p2pkit.VectorSpec(4, "noise")})
