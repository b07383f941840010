"""A loss by which noise is read from the target."""

from torch import nn

import p2pkit
from p2pkit.layers import condition_size, draw_latent, kl_to_normal

P2PKIT_PLUGIN_API = 2


class Encoder(nn.Module):
    """How unlike drawn noise the noise is that is read from the targets.

    Source: Kingma and Welling 2014, arXiv:1312.6114, appendix B.
    """

    def __init__(self, images):
        super().__init__()
        channels, size = images.target.channels, condition_size(images, "z")
        first, second = nn.Conv2d(channels, 16, 4, 2, 1), nn.Conv2d(16, 32, 4, 2, 1)
        pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2 * size)
        self.read = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), *pooled)

    def encode(self, source, target, extras):
        mean, log_var = self.read(target).chunk(2, 1)
        return {"z": draw_latent(mean, log_var), "mean": mean, "log_var": log_var}

    def generator(self, view):
        return kl_to_normal(view.extras["mean"], view.extras["log_var"])


@p2pkit.hookimpl
def p2pkit_losses():
    yield p2pkit.Loss("encoder", Encoder, extras={"z": p2pkit.VectorSpec(4, "noise")})
