"""The PatchGAN that goes with `unet_blog`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec, Verdict
from p2pkit.builtin.discriminators.patch import judge
from p2pkit.layers import InitStd, Width, initialise, normalise, widths


class PatchBlogDiscriminator(nn.Module):
    """PatchGAN that goes with unet_blog: four halvings, verdicts that see 94 x 94 pixels.

    It differs from `patch` in its last layers, in instance norm, and in being given the image before the source.

    Args:
        images: What the run's images are.
        width: Channels of the first layer; the others have two, four and eight times as many.
        init_std: Standard deviation of the initial weights; biases keep PyTorch's initial values.

    Raises:
        ComponentError: The images are too small for four halvings.

    Shape: source (B, C_source, H, W), image (B, C_target, H, W) -> one map of logits (B, 1, H / 16, W / 16); the
    features are the activations after each layer but the last.
    Source: eriklindernoren/PyTorch-GAN, implementations/pix2pix, after Isola et al. 2017, arXiv:1611.07004.
    """

    def __init__(self, images: PairSpec, *, width: Width = 64, init_std: InitStd = 0.02) -> None:
        super().__init__()
        _check_sides(images)
        model: list[nn.Module] = []
        levels = [images.target.channels + images.source.channels, *widths(width, 4, 8 * width)]
        for layer in range(4):
            norms = normalise("instance", levels[layer + 1]) if layer else ()
            model += [nn.Conv2d(levels[layer], levels[layer + 1], 4, 2, 1), *norms, nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(
            *model, nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(8 * width, 1, 4, padding=1, bias=False)
        )
        initialise(self, init_std, biases=False)

    def forward(self, source: Tensor, image: Tensor) -> Verdict:
        """Judge a batch of pairs."""
        return judge(self.model, torch.cat([image, source], 1))


def _check_sides(images: PairSpec) -> None:
    """Refuse images whose last level would be one pixel, which instance norm can't normalise."""
    if min(images.height, images.width) < 16 or max(images.height, images.width) < 32:
        raise ComponentError(
            f"patch_blog halves images four times, and those of {images.height} x {images.width} are too small for it",
            remedy="use images with sides of at least 32, or the discriminator patch with fewer layers",
        )
