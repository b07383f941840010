"""OASIS's loss: both players' game is a segmentation."""

from __future__ import annotations

from typing import Annotated

import torch
from p2pkit import ComponentError, PairSpec, Verdict, View
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from p2pkit_spade.oasis_discriminator import check_labels


class OasisLoss(nn.Module):
    """Cross entropy of what OASIS's discriminator says of each pixel, for both players.

    The discriminator should find the label map's classes in targets, and in fakes that they are none; the generator
    wants the classes to be found in its fakes. Rare classes count as much as frequent ones, and pixels of unlabelled
    classes not at all. Of a patchwork of both, whose seams are those of the label map, it should say what it says of
    the two.

    Args:
        images: What the run's images are; the sources are label maps.
        label_mix: How much the patchwork counts.
        balanced: Whether each class of a batch counts alike, and not each pixel.

    Raises:
        p2pkit.ComponentError: The sources are no label maps, or the run's discriminator is another one.

    Source: Sushko et al. 2021, arXiv:2012.04781, equations 1 to 4.
    """

    known: Tensor
    threshold = 0.0

    def __init__(
        self,
        images: PairSpec,
        *,
        label_mix: Annotated[float, Field(ge=0, description="Share of the patchwork; 5 for Cityscapes.")] = 10.0,
        balanced: Annotated[bool, Field(description="Whether each class counts alike, and not each pixel.")] = True,
    ) -> None:
        super().__init__()
        check_labels(images)
        self.classes, self.label_mix, self.balanced = images.source.channels, label_mix, balanced
        known = torch.ones(self.classes)
        known[[index for index in images.source.unlabelled if index < self.classes]] = 0
        self.register_buffer("known", known, persistent=False)

    def generator(self, view: View) -> Tensor:
        """What the generator pays for pixels that are not taken for what the label map says."""
        return self._as_labelled(self._planes(view.on_fake), view.source)

    def discriminator(self, view: View) -> Tensor:
        """What the discriminator pays for misjudging pixels of targets, fakes and patchworks."""
        real, fake = self._planes(view.on_target), self._planes(view.on_fake)
        nothing = torch.zeros_like(fake[:, 0], dtype=torch.long)
        value = self._as_labelled(real, view.source) + functional.cross_entropy(fake, nothing)
        if self.label_mix:
            mask = self._some_classes(view.source)
            mixed = self._planes(view.discriminate(view.source, torch.where(mask, view.target, view.fake)))
            patchwork = functional.mse_loss(mixed, torch.where(mask, real, fake))
            view.log("label_mix", patchwork)
            value = value + self.label_mix * patchwork
        return value

    def _as_labelled(self, planes: Tensor, source: Tensor) -> Tensor:
        labelled = (source > 0).to(planes.dtype) * self.known[:, None, None]
        counts = labelled.sum((0, 2, 3))
        weights = torch.ones_like(counts)
        if self.balanced:
            pixels = labelled[:, 0].numel()
            weights = pixels / counts.clamp(min=1) / (counts > 0).sum().clamp(min=1)
        surprise = -(planes.log_softmax(1)[:, 1:] * labelled * weights[:, None, None]).sum(1)
        return surprise.mean()

    def _some_classes(self, source: Tensor) -> Tensor:
        """Return where the pixels are whose class, by a throw for each class and image, is taken of the target."""
        taken = torch.rand(*source.shape[:2], 1, 1, device=source.device) < 0.5
        return ((source > 0) & taken).any(1, keepdim=True)

    def _planes(self, verdict: Verdict) -> Tensor:
        planes = verdict.features[-1][-1] if verdict.features and verdict.features[-1] else None
        if planes is None or planes.shape[1] != self.classes + 1:
            cause = f"the discriminator does not tell {self.classes} classes and fakes apart"
            raise ComponentError(cause, remedy="use the discriminator oasis")
        return planes
