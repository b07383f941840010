"""Patch discriminators at several scales."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from p2pkit import ComponentError, PairSpec, Verdict
from p2pkit.builtin.discriminators.patch import Conditional, Layers, PatchDiscriminator, SpectralNorm
from p2pkit.layers import InitStd, Norm, Width


class MultiscaleDiscriminator(nn.Module):
    """Several PatchGANs, each judging the pair at half the resolution of the one before.

    Args:
        images: What the run's images are.
        scales: Number of PatchGANs.
        layers: Halvings inside each.
        width: Channels of the first layer of each.
        norm: Normalisation.
        spectral_norm: Whether each convolution is divided by its largest singular value.
        conditional: Whether they see the source too.
        init_std: Standard deviation of the initial weights.

    Raises:
        ComponentError: The images are so small that no verdict remains at some scale.

    Shape: source (B, C_source, H, W), image (B, C_target, H, W) -> for each scale, full size first, a map of logits
    (B, 1, h, w) and the features of that scale's PatchGAN.
    Source: Wang et al. 2018, arXiv:1711.11585, section 3.2.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        scales: Annotated[int, Field(ge=1, le=5, description="Number of scales, each half the one before.")] = 3,
        layers: Layers = 3,
        width: Width = 64,
        norm: Norm = "batch",
        spectral_norm: SpectralNorm = False,
        conditional: Conditional = True,
        init_std: InitStd = 0.02,
    ) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.scales = nn.ModuleList()
        for scale in range(scales):
            try:
                patch = PatchDiscriminator(
                    images,
                    layers=layers,
                    width=width,
                    norm=norm,
                    spectral_norm=spectral_norm,
                    conditional=conditional,
                    init_std=init_std,
                )
            except ComponentError as error:
                if scale == 0:
                    raise
                remedy = f"use {scale} scales or fewer, fewer layers, or larger images"
                raise ComponentError(
                    f"at scale {scale + 1}, {error.cause}", remedy=remedy, parameter="scales"
                ) from None
            self.scales.append(patch)
            images = replace(images, height=(images.height + 1) // 2, width=(images.width + 1) // 2)

    def forward(self, source: Tensor, image: Tensor) -> Verdict:
        """Judge a batch of pairs at every scale."""
        verdicts = []
        for scale, patch in enumerate(self.scales):
            if scale:
                source, image = self.pool(source), self.pool(image)
            verdicts.append(patch(source, image))
        logits, features = zip(*((v.logits[0], v.features[0]) for v in verdicts), strict=True)
        return Verdict(logits, features)
