"""Images as they are stored, as networks see them, and as pictures for people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from p2pkit.types import ImageSpec, PairSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


_FULL_SCALES = {torch.uint8: 255.0, torch.uint16: 65535.0}
_FULL_RANGES = {(0.0, scale): kind for kind, scale in _FULL_SCALES.items()}


def full_scale(image: Tensor) -> float:
    """Return the largest value that an image of this type can store; 1 for floats."""
    return _FULL_SCALES.get(image.dtype, 1.0)


def stored_type(spec: ImageSpec) -> torch.dtype:
    """Return the type in which images of a spec are stored: uint8 and uint16 for their full scales, else float32."""
    if spec.kind == "labels":
        return torch.uint8 if spec.channels <= 256 else torch.uint16
    return _FULL_RANGES.get((spec.low, spec.high), torch.float32)


def fake_spec(images: PairSpec, given: torch.dtype) -> ImageSpec:
    """Return what the fake of a stored source is: of the source's bit depth, where both are values on a scale.

    Args:
        images: What the generator was trained on.
        given: The type of the source that is translated, which may be of another depth than the ones in training.
    """
    if given not in _FULL_SCALES or "labels" in (images.source.kind, images.target.kind):
        return images.target
    return replace(images.target, low=0.0, high=_FULL_SCALES[given])


def conform(image: Tensor, spec: ImageSpec) -> Tensor:
    """Give a stored image the channels, type and value range of a spec.

    Grey becomes colour by repetition, colour becomes grey by luma (or lightness where the spec says so), alpha is
    laid on white, labels painted in the palette's colours become indices. Whole numbers span their type's full
    scale; floats span the spec's range, or 0 to 1 where the spec is of whole numbers.

    Args:
        image: Any stored image.
        spec: What it should be.

    Returns:
        The stored image; the same object where nothing had to change.

    Raises:
        OSError: No rule leads from the image's channels or values to the spec's.

    Shape: (C, H, W) -> (C_stored, H, W).
    """
    if spec.kind == "labels":
        return _indices(image, spec)
    wanted = stored_type(spec)
    if image.dtype == wanted and image.shape[0] == spec.channels:
        return image
    floats = image.is_floating_point() and wanted == torch.float32
    low, high = (spec.low, spec.high) if floats else (0.0, full_scale(image))
    if image.shape[0] != spec.channels:
        image = _rechannel(image, spec, low, high)
    return image if image.dtype == wanted else _rescale(image, spec, wanted)


def _rescale(image: Tensor, spec: ImageSpec, wanted: torch.dtype) -> Tensor:
    unit = image.float() / full_scale(image)
    if wanted == torch.float32:
        return spec.low + unit * (spec.high - spec.low)
    low, high = unit.aminmax()
    if low < -0.5 or high > 1.5:  # a little overshoot is clamped; more is another scale, which would be ruined
        raise OSError(f"holds floats from {low:g} to {high:g}, where 0 to 1 is wanted")
    return (unit * spec.high).round().clamp(0, spec.high).to(wanted)


def _rechannel(image: Tensor, spec: ImageSpec, low: float, high: float) -> Tensor:
    values = image.float()
    if values.shape[0] in (2, 4) and spec.channels in (1, 3):
        alpha = (values[-1:] - low) / (high - low)
        values = values[:-1] * alpha + high * (1 - alpha)
    if values.shape[0] == 3 and spec.channels == 1:
        values = _lightness(values, low, high) if spec.lightness else _luma(values)
    elif values.shape[0] < 3 and spec.channels in (3, 4):
        values = torch.cat([values[:1].expand(3, -1, -1), values[1:]])
    if values.shape[0] == 3 and spec.channels == 4:
        values = torch.cat([values, torch.full_like(values[:1], high)])
    if values.shape[0] != spec.channels:
        raise OSError(f"has {image.shape[0]} channels, where {spec.channels} are wanted")
    return values if image.is_floating_point() else values.round().clamp(low, high).to(image.dtype)


def _luma(values: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114], device=values.device)
    return (values * weights[:, None, None]).sum(0, keepdim=True)


def _lightness(values: Tensor, low: float, high: float) -> Tensor:
    from kornia.color import rgb_to_lab

    lightness: Tensor = rgb_to_lab((values[None] - low) / (high - low))[0, :1]
    return low + lightness / 100 * (high - low)


def _indices(image: Tensor, spec: ImageSpec) -> Tensor:
    if image.shape[0] == 1:
        indices = image.to(torch.int64)
        if image.is_floating_point() and (indices != image).any():
            raise OSError("holds fractions, where class indices are wanted")
    elif spec.palette and image.shape[0] in (3, 4):
        palette = torch.tensor(spec.palette, dtype=torch.float32, device=image.device)
        colours = image[:3].float().flatten(1).T * (255 / full_scale(image))
        indices = torch.cdist(colours, palette).argmin(1).view(1, *image.shape[1:])
    else:
        raise OSError(f"has {image.shape[0]} channels, where one of class indices is wanted")
    wrong = indices[(indices < 0) | (indices >= spec.channels)]
    if len(wrong):
        raise OSError(f"holds class index {wrong[0]}, where {spec.channels} classes have 0 to {spec.channels - 1}")
    return indices.to(stored_type(spec))


def resize(image: Tensor, height: int, width: int, *, nearest: bool = False) -> Tensor:
    """Resize a stored image, bicubic with antialiasing, or nearest for labels; no value leaves the image's range.

    Shape: (C, H, W) -> (C, height, width), same type.
    """
    if image.shape[1:] == (height, width):
        return image
    batch = image[None] if image.dtype in (torch.uint8, torch.float32) else image[None].float()
    if nearest:
        return functional.interpolate(batch, (height, width), mode="nearest-exact")[0].to(image.dtype)
    resized = functional.interpolate(batch, (height, width), mode="bicubic", antialias=True)[0]
    if image.dtype == torch.uint8:
        return resized
    resized = resized.clamp(batch.min(), batch.max())  # bicubic weights overshoot at edges
    return resized if image.is_floating_point() else resized.round().to(image.dtype)


def to_network(stored: Tensor, spec: ImageSpec) -> Tensor:
    """Turn stored images into what networks see: [-1, 1]; a plane for each class, 1 where a pixel is of it, else -1.

    Shape: (B, C_stored, H, W) -> (B, C, H, W), float32.
    """
    if spec.kind == "labels":
        classes = torch.arange(spec.channels, device=stored.device).view(1, -1, 1, 1)
        return torch.where(stored.to(torch.int64) == classes, 1.0, -1.0)
    values = stored.float() - spec.low  # a copy of its own, also of floats
    return values.mul_(2 / (spec.high - spec.low)).sub_(1)


def to_stored(images: Tensor, spec: ImageSpec) -> Tensor:
    """Turn a network's images into stored ones; the inverse of `to_network`.

    Shape: (B, C, H, W) in [-1, 1] -> (B, C_stored, H, W).
    """
    wanted = stored_type(spec)
    if spec.kind == "labels":
        return images.argmax(1, keepdim=True).to(wanted)
    values = (images.float().clamp(-1, 1) + 1) * ((spec.high - spec.low) / 2) + spec.low
    return values if wanted == torch.float32 else values.round().to(wanted)


def to_picture(image: Tensor, spec: ImageSpec) -> NDArray[np.uint8]:
    """Show one network image to people; beyond four channels each pixel in the colour of its strongest one.

    Shape: (C, H, W) in [-1, 1] -> (H, W, 3) of uint8.
    """
    image = image.detach().cpu()
    if spec.kind == "labels" or len(image) > 4:
        palette = torch.tensor(spec.palette or _colours(spec.channels), dtype=torch.uint8)
        return palette[image.argmax(0)].numpy()
    values = ((image.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    values = values[:3] if len(values) >= 3 else values[:1].expand(3, -1, -1)
    return values.permute(1, 2, 0).contiguous().numpy()


def _colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Pick well separated colours by walking around the hues in golden steps."""
    from colorsys import hsv_to_rgb

    def colour(index: int) -> tuple[int, int, int]:
        red, green, blue = hsv_to_rgb(index * 0.618034 % 1, 0.75 - 0.25 * (index % 2), 0.95 - 0.3 * (index % 3 == 2))
        return int(red * 255), int(green * 255), int(blue * 255)

    return tuple(map(colour, range(count)))
