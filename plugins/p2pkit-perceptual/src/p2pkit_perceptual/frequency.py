"""The focal frequency loss."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from p2pkit import ComponentError, PairSpec, View


class FocalFrequency:
    """Focal frequency loss: squared differences of the spectra, most for the frequencies that are hardest to make.

    Computed by torch.fft: the authors' package was last released in 2021, and reads values back from the device.

    Args:
        images: What the run's images are.
        alpha: How much more a larger difference counts; 0 counts all frequencies alike.
        patches: Each side is cut into so many parts, and each part has a spectrum of its own.
        average: Whether the batch's mean spectrum is compared, and not each image's.
        logarithm: Whether the frequencies' factors are softened by a logarithm.
        over_batch: Whether the factors are relative to the batch's largest, and not to each spectrum's.

    Raises:
        ComponentError: The images can't be cut into so many parts.

    Shape: images (B, C, H, W) in [-1, 1] -> scalar, 0 for equal images.
    Source: Jiang et al. 2021, arXiv:2012.12821, equations 8 and 9.
    """

    detached = True  # the factors of the frequencies are constants to the gradient, as in the paper

    def __init__(
        self,
        images: PairSpec,
        *,
        alpha: Annotated[
            float, Field(ge=0, le=10, description="How much more a larger difference counts; 0 counts all alike.")
        ] = 1.0,
        patches: Annotated[
            int, Field(ge=1, le=64, description="Each side is cut into so many parts with spectra of their own.")
        ] = 1,
        average: Annotated[bool, Field(description="Whether the batch's mean spectrum is compared.")] = False,
        logarithm: Annotated[
            bool, Field(description="Whether the frequencies' factors are softened by a logarithm.")
        ] = False,
        over_batch: Annotated[
            bool, Field(description="Whether the factors are relative to the batch's largest.")
        ] = False,
    ) -> None:
        if images.height % patches or images.width % patches:
            cause = f"images of {images.height} x {images.width} can't be cut into {patches} parts a side"
            raise ComponentError(cause, remedy="use a number that divides both sides", parameter="patches")
        self._alpha = alpha
        self._patches = patches
        self._average = average
        self._logarithm = logarithm
        self._over = (0, 1, 2, 3, 4) if over_batch else (-2, -1)

    def generator(self, view: View) -> Tensor:
        """The mean weighted difference of the spectra."""
        difference = self._spectra(view.fake) - self._spectra(view.target.detach())
        distance = difference.real.square() + difference.imag.square()
        return (self._factors(distance.detach()) * distance).mean()

    def _factors(self, distance: Tensor) -> Tensor:
        """Return what each frequency counts, 1 for the hardest; the gradient takes it as given."""
        factors = distance.pow(self._alpha / 2)
        factors = factors.log1p() if self._logarithm else factors
        return factors / factors.amax(self._over, keepdim=True).clamp_min(torch.finfo(factors.dtype).tiny)

    def _spectra(self, images: Tensor) -> Tensor:
        """Return the orthonormal spectra of all parts.

        Shape: (B, C, H, W) -> (B, C, patches**2, H / patches, W / patches), complex.
        """
        count, channels, height, width = images.shape
        rows, columns = height // self._patches, width // self._patches
        parts = images.float().view(count, channels, self._patches, rows, self._patches, columns)
        parts = parts.transpose(3, 4).reshape(count, channels, -1, rows, columns)
        spectra: Tensor = torch.fft.fft2(parts, norm="ortho")
        return spectra.mean(0, keepdim=True) if self._average else spectra
