"""Changes of geometry, the same for all images of a pair."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

import p2pkit
from p2pkit import ComponentError, ImageSpec, PairSpec

Share = Annotated[float, Field(ge=0, le=1, description="Probability that a pair is changed.")]


class Geometric(ABC):
    """One geometry for each pair of a batch, drawn once and applied to all of its images.

    Random numbers come from the CPU's global generator, so that a run's seed and saved state cover them and nothing
    waits for the device.

    Args:
        images: What the run's images are.

    Shape: each image (B, C, H, W), volume (B, C, D, H, W), in [-1, 1]; classes' planes are 1 or -1.
    """

    def __init__(self, images: PairSpec) -> None:
        self.images = images

    def __call__(self, source: Tensor, target: Tensor, *extras: Tensor) -> tuple[Tensor, ...]:
        """Change a batch, and with it the images among its extras."""
        specs = self.images.images.values()
        ready = [self.prepare(image, spec) for image, spec in zip((source, target, *extras), specs, strict=True)]
        drawn = self.draw(ready[0])
        return tuple(self.move(image, drawn, spec) for image, spec in zip(ready, specs, strict=True))

    def prepare(self, batch: Tensor, spec: ImageSpec) -> Tensor:
        """Bring a batch to the size that geometry is drawn for; by default it stays as it is.

        Args:
            batch: Sources, targets, or images that stand beside them.
            spec: What they are.
        """
        return batch

    @abstractmethod
    def draw(self, batch: Tensor) -> Tensor:
        """Draw what happens to each pair of a batch of this shape, on the CPU.

        Args:
            batch: The sources, prepared; only their shape counts.
        """

    @abstractmethod
    def move(self, batch: Tensor, drawn: Tensor, spec: ImageSpec) -> Tensor:
        """Apply what was drawn.

        Args:
            batch: Sources, targets, or images that stand beside them, prepared.
            drawn: What `draw` returned for the pairs.
            spec: What the images are; classes' planes stay 1 or -1.
        """


class JitterCrop(Geometric):
    """Larger images, of which a random part of the run's size is kept.

    Data sets that can be had at another size load the larger images; others are enlarged here. Files of other
    proportions than the run's keep theirs: they are loaded just as large as covers the wanted size, random parts of
    them are trained on, and the middle of each is scored.

    Source: Isola et al. 2017, arXiv:1611.07004, section 6.2 (random jitter).
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        load: Annotated[
            int, Field(ge=1, le=16384, description="Height before cropping; the width grows in proportion.")
        ] = 286,
        stretch: Annotated[
            bool, Field(description="Whether files of other proportions are stretched to the run's shape instead.")
        ] = False,
    ) -> None:
        super().__init__(images)
        if load < images.height:
            cause = f"a part of {images.height} rows can't be cut out of {load}"
            raise ComponentError(cause, remedy=f"give at least {images.height}", parameter="load")
        self.enlarged = tuple(round(load * side / images.height) for side in images.size)
        self.loads = None if stretch else self.enlarged

    def prepare(self, batch: Tensor, spec: ImageSpec) -> Tensor:
        """Enlarge what the data set did not."""
        if batch.shape[2:] == self.enlarged:
            return batch
        return p2pkit.resample(batch, self.enlarged, nearest=spec.kind == "labels").clamp(-1, 1)

    def draw(self, batch: Tensor) -> Tensor:
        """Draw each part's first row and column."""
        return _corners(len(batch), self.enlarged, self.images)

    def move(self, batch: Tensor, drawn: Tensor, spec: ImageSpec) -> Tensor:
        """Cut the parts out."""
        return _cut_out(batch, drawn, self.images)


class Crop(Geometric):
    """Random parts of images at their own resolution, which may be of different sizes; `size` is that of the parts.

    Data sets of files give the parts; evaluations see the middle of each image. Images that are smaller are enlarged.
    """

    def __init__(
        self,
        images: PairSpec,
        *,
        scale: Annotated[
            tuple[Annotated[float, Field(gt=0, le=64)], Annotated[float, Field(gt=0, le=64)]],
            Field(description="Images are resized by a random factor between these before a part is taken."),
        ] = (1.0, 1.0),
    ) -> None:
        super().__init__(images)
        if scale[0] > scale[1]:
            cause = f"the smallest scale {scale[0]:g} is above the largest {scale[1]:g}"
            raise ComponentError(cause, parameter="scale")
        self.parts = scale

    def draw(self, batch: Tensor) -> Tensor:
        """Draw each part's first row and column, where the batch is larger than the parts."""
        return _corners(len(batch), batch.shape[2:], self.images)

    def move(self, batch: Tensor, drawn: Tensor, spec: ImageSpec) -> Tensor:
        """Cut the parts out."""
        return _cut_out(batch, drawn, self.images)


class Flip(Geometric):
    """Left and right exchanged."""

    def __init__(self, images: PairSpec, *, probability: Share = 0.5) -> None:
        super().__init__(images)
        self.probability = probability

    def draw(self, batch: Tensor) -> Tensor:
        """Draw which pairs are mirrored."""
        return torch.rand(len(batch)) < self.probability

    def move(self, batch: Tensor, drawn: Tensor, spec: ImageSpec) -> Tensor:
        """Mirror them."""
        return torch.where(_each(drawn, batch), batch.flip(-1), batch)


class Rotate90(Geometric):
    """Turns by 0, 90, 180 or 270 degrees, all equally likely; for square images."""

    def __init__(self, images: PairSpec) -> None:
        super().__init__(images)
        if images.height != images.width:
            cause = f"images of {images.height} x {images.width} can't be turned by 90 degrees"
            raise ComponentError(cause, remedy="use square images, or leave this augmentation out")

    def draw(self, batch: Tensor) -> Tensor:
        """Draw the number of quarter turns."""
        return torch.randint(4, (len(batch),))

    def move(self, batch: Tensor, drawn: Tensor, spec: ImageSpec) -> Tensor:
        """Turn anticlockwise."""
        turns = _each(drawn, batch)
        moved = batch
        for count in (1, 2, 3):
            moved = torch.where(turns == count, batch.rot90(count, (-2, -1)), moved)
        return moved


class Affine(Geometric):
    """Random rotation, shift, scale and shear about the centre; bilinear, or nearest for labels."""

    def __init__(
        self,
        images: PairSpec,
        *,
        degrees: Annotated[float, Field(ge=0, le=180, description="Largest rotation to either side.")] = 10.0,
        translate: Annotated[
            float, Field(ge=0, le=1, description="Largest shift to any side, as a share of the side.")
        ] = 0.05,
        scale: Annotated[
            float, Field(ge=0, lt=1, description="Largest change of size: 0.1 is between 0.9 and 1.1 times.")
        ] = 0.1,
        shear: Annotated[float, Field(ge=0, le=60, description="Largest shear along x and y, in degrees.")] = 0.0,
        padding: Annotated[
            Literal["border", "reflection", "zeros"],
            Field(description="What fills the outside; `zeros` is the lowest value, or the first class."),
        ] = "reflection",
    ) -> None:
        super().__init__(images)
        if images.dims > 2:
            remedy = "use flip, rotate90, crop or jitter_crop, or leave it out"
            raise ComponentError("affine moves images in their plane, and these are volumes", remedy=remedy)
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, scale, shear
        self.padding = padding

    def draw(self, batch: Tensor) -> Tensor:
        """Draw a matrix (B, 2, 3) for each pair, in pixels."""
        from kornia.geometry.transform import get_affine_matrix2d

        size = torch.tensor([batch.shape[3], batch.shape[2]], dtype=torch.float32)
        angle, zoom, *shear = torch.rand(4, len(batch)) * 2 - 1
        shift = (torch.rand(len(batch), 2) * 2 - 1) * self.translate * size
        centre = ((size - 1) / 2).expand(len(batch), 2)
        scale = (1 + zoom * self.scale)[:, None].expand(-1, 2)
        shear_x, shear_y = (torch.deg2rad(each * self.shear) for each in shear)
        matrix: Tensor = get_affine_matrix2d(shift, centre, scale, angle * self.degrees, shear_x, shear_y)
        return matrix[:, :2]

    def move(self, batch: Tensor, drawn: Tensor, spec: ImageSpec) -> Tensor:
        """Sample the moved images; a label map moves as one plane of indices, so that each pixel keeps one class."""
        from kornia.geometry.transform import warp_affine

        labels = spec.kind == "labels"
        values = _indices(batch) if labels else batch + 1
        matrix = drawn.to(batch.device, batch.dtype, non_blocking=batch.is_cuda)
        mode = "nearest" if labels else "bilinear"
        moved: Tensor = warp_affine(values, matrix, batch.shape[2:], mode=mode, padding_mode=self.padding)
        return p2pkit.to_network(moved, spec).to(batch.dtype) if labels else moved - 1


def _corners(count: int, size: Sequence[int], images: PairSpec) -> Tensor:
    """Draw where parts of the run's size begin in images of another: one number for each side, (count, sides)."""
    spare = [side - own + 1 for side, own in zip(size, images.size, strict=True)]
    return torch.stack([torch.randint(most, (count,)) for most in spare], dim=1)


def _cut_out(batch: Tensor, corners: Tensor, images: PairSpec) -> Tensor:
    parts = []
    for image, corner in zip(batch, corners.tolist(), strict=True):
        box = (slice(start, start + side) for start, side in zip(corner, images.size, strict=True))
        parts.append(image[(slice(None), *box)])
    return torch.stack(parts)


def _indices(planes: Tensor) -> Tensor:
    """Return the class of each pixel; the number of classes, which is none of them, where all planes are -1."""
    known = planes.amax(1, keepdim=True) > 0
    return torch.where(known, planes.argmax(1, keepdim=True), planes.shape[1]).to(planes.dtype)


def _each(drawn: Tensor, batch: Tensor) -> Tensor:
    """Bring one value for each pair to the batch's device and shape."""
    return drawn.to(batch.device, non_blocking=batch.is_cuda).view(-1, *[1] * (batch.ndim - 1))
