"""Images as they are stored, as networks see them, and as pictures for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from p2pkit.types import ImageSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


_FULL_SCALES = {torch.uint8: 255.0, torch.uint16: 65535.0}
MOST = 4
"""Planes that are shown as a picture, where a spec says of none."""
_UNITS = ((0.0, 1.0), (-1.0, 1.0))
"""Ranges of floats that stand for a full scale, whatever that of the file is."""
_FULL_RANGES = {(0.0, scale): kind for kind, scale in _FULL_SCALES.items()}


def full_scale(image: Tensor) -> float:
    """Return the value that becomes white where no range is declared: a type's largest one, or 1 for floats.

    Raises:
        OSError: The type has no scale of its own, as int16 and int32.
    """
    if image.is_floating_point():
        return 1.0
    if image.dtype not in _FULL_SCALES:
        raise OSError(f"holds {_name(image.dtype)}, whose scale only a declared range can tell")
    return _FULL_SCALES[image.dtype]


def stored_type(spec: ImageSpec) -> torch.dtype:
    """Return the type in which images of a spec are stored: uint8 and uint16 for their full scales, else float32."""
    if spec.kind == "labels":
        return torch.uint8 if max(spec.channels - 1, *spec.unlabelled, 0) <= 255 else torch.uint16
    if spec.dtype:
        stored: torch.dtype = getattr(torch, spec.dtype)
        return stored
    return _FULL_RANGES.get((spec.low, spec.high), torch.float32)


def conform(image: Tensor, spec: ImageSpec) -> Tensor:
    """Give a stored image the channels, type and value range of a spec.

    Grey becomes colour by repetition, colour becomes grey by luma (or lightness where the spec says so), alpha is
    laid on white, labels painted in the palette's colours become indices. On a full scale, and for floats of 0 to 1 or
    -1 to 1, whole numbers span their type's full scale. On any other range values are taken as they are, and what lies
    outside is cut off.

    Args:
        image: Any stored image.
        spec: What it should be.

    Returns:
        The stored image; the same object where nothing had to change.

    Raises:
        OSError: No rule leads from the image's channels or values to the spec's.

    Shape: (C, H, W) -> (C_stored, H, W), or of volumes (C, D, H, W) -> (C_stored, D, H, W).
    """
    if spec.kind == "labels":
        return _indices(image, spec)
    image = _on_scale(image, spec)
    return image if image.shape[0] == spec.channels else _rechannel(image, spec, spec.low, spec.high)


def _on_scale(image: Tensor, spec: ImageSpec) -> Tensor:
    """Bring values to a spec's type and range."""
    wanted = stored_type(spec)
    full = _FULL_SCALES.get(wanted) == spec.high and spec.low == 0
    unit = wanted == torch.float32 and (spec.low, spec.high) in _UNITS
    if image.dtype == wanted and not unit:
        return image if full else _cut(image, spec)
    if (full or unit) and image.dtype != wanted:
        low, high = (0.0, full_scale(image))
        values = (image.float() - low) / (high - low)
        if image.is_floating_point():
            _refuse_other_scale(values, 0.0, 1.0)
        values = spec.low + values * (spec.high - spec.low)
        return values if unit else values.round().clamp(0, spec.high).to(wanted)
    if unit:
        _refuse_other_scale(image, spec.low, spec.high)
        return _cut(image, spec)
    if not image.is_floating_point():
        held = torch.iinfo(image.dtype)
        if spec.low < held.min or spec.high > held.max:
            cause = f"holds {_name(image.dtype)}, where {_name(wanted)} from {spec.low:g} to {spec.high:g} is wanted"
            raise OSError(cause)
    values = _cut(image.float(), spec)
    return values if wanted == torch.float32 else values.round().to(wanted)


def _cut(image: Tensor, spec: ImageSpec) -> Tensor:
    values = image.float() if image.dtype in _FULL_SCALES else image
    low, high = values.aminmax()
    return image if low >= spec.low and high <= spec.high else values.clamp(spec.low, spec.high).to(image.dtype)


def _refuse_other_scale(values: Tensor, low: float, high: float) -> None:
    """A little overshoot is cut off; more is another scale, which would be ruined."""
    least, most = values.aminmax()
    if least < low - (high - low) / 2 or most > high + (high - low) / 2:
        raise OSError(f"holds floats from {least:g} to {most:g}, where {low:g} to {high:g} is wanted")


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _rechannel(image: Tensor, spec: ImageSpec, low: float, high: float) -> Tensor:
    values = image.float()
    if values.shape[0] in (2, 4) and spec.channels in (1, 3):
        alpha = (values[-1:] - low) / (high - low)
        values = values[:-1] * alpha + high * (1 - alpha)
    if values.shape[0] == 3 and spec.channels == 1:
        values = _lightness(values, low, high) if spec.lightness else _luma(values)
    elif values.shape[0] < 3 and spec.channels in (3, 4):
        values = torch.cat([values[:1].expand(3, *values.shape[1:]), values[1:]])
    if values.shape[0] == 3 and spec.channels == 4:
        values = torch.cat([values, torch.full_like(values[:1], high)])
    if values.shape[0] != spec.channels:
        raise OSError(f"has {image.shape[0]} channels, where {spec.channels} are wanted")
    return values if image.is_floating_point() else values.round().clamp(low, high).to(image.dtype)


def _luma(values: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114], device=values.device)
    return (values * weights.view(-1, *[1] * (values.ndim - 1))).sum(0, keepdim=True)


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
    outside = (indices < 0) | (indices >= spec.channels)
    for index in spec.unlabelled:
        outside &= indices != index
    wrong = indices[outside]
    if len(wrong):
        known = f"{spec.channels} classes have 0 to {spec.channels - 1}"
        raise OSError(f"holds class index {wrong[0]}, where {known}, and `unlabelled` does not name it")
    return indices.to(stored_type(spec))


def resize(image: Tensor, height: int, width: int, *, depth: int = 0, nearest: bool = False) -> Tensor:
    """Resize a stored image, bicubic with antialiasing, or nearest for labels; no value leaves the image's range.

    Args:
        image: As it is stored.
        height: In pixels.
        width: In pixels.
        depth: Slices of a volume; 0 for an image.
        nearest: Take the nearest pixel's value, since values are classes and have nothing between them.

    Shape: (C, H, W) -> (C, height, width), or (C, D, H, W) -> (C, depth, height, width), same type.
    """
    size = (depth, height, width) if depth else (height, width)
    if image.shape[1:] == size:
        return image
    batch = image[None] if image.dtype in (torch.uint8, torch.float32) else image[None].float()
    resized = resample(batch, size, nearest=nearest)[0]
    if nearest:
        return resized.to(image.dtype)
    if image.dtype == torch.uint8:
        return resized
    resized = resized.clamp(batch.min(), batch.max())  # bicubic weights overshoot at edges
    return resized if image.is_floating_point() else resized.round().to(image.dtype)


def resize_to(image: Tensor, size: Sequence[int], *, nearest: bool = False) -> Tensor:
    """Resize a stored image or volume to the size of a spec; see `resize`."""
    *depth, height, width = size
    return resize(image, height, width, depth=depth[0] if depth else 0, nearest=nearest)


def resample(
    batch: Tensor, size: Sequence[int], *, nearest: bool = False, mode: Literal["bicubic", "bilinear"] = "bicubic"
) -> Tensor:
    """Resize a batch, bicubic or bilinear with antialiasing, or nearest for classes; what overshoots at edges is left.

    A volume is resized as its slices are, and then along its depth by the same filter.

    Args:
        batch: Images or volumes.
        size: Height and width; of volumes depth, height and width.
        nearest: Take the nearest pixel's value.
        mode: The filter.

    Shape: (B, C, H, W) -> (B, C, height, width), or (B, C, D, H, W) -> (B, C, depth, height, width).
    """
    if batch.ndim == 5:
        depth, height, width = size
        slices = resample(batch.flatten(1, 2), (height, width), nearest=nearest, mode=mode)
        columns = slices.reshape(*batch.shape[:3], height * width)
        whole = resample(columns, (depth, height * width), nearest=nearest, mode=mode)
        return whole.reshape(*whole.shape[:3], height, width)
    if nearest:
        return functional.interpolate(batch, tuple(size), mode="nearest-exact")
    return functional.interpolate(batch, tuple(size), mode=mode, antialias=True)


def to_network(stored: Tensor, spec: ImageSpec) -> Tensor:
    """Turn stored images into what networks see: [-1, 1]; a plane for each class, 1 where a pixel is of it, else -1.

    A pixel that is of no class, since its value means that it is not known, is -1 in all planes.

    Shape: (B, C_stored, H, W) -> (B, C, H, W), or (B, C_stored, D, H, W) -> (B, C, D, H, W), float32.
    """
    if spec.kind == "labels":
        classes = torch.arange(spec.channels, device=stored.device).view(-1, *[1] * (stored.ndim - 2))
        return torch.where(stored.to(torch.int64) == classes, 1.0, -1.0)
    values = stored.float() - spec.low  # a copy of its own, also of floats
    return values.mul_(2 / (spec.high - spec.low)).sub_(1)


def to_stored(images: Tensor, spec: ImageSpec) -> Tensor:
    """Turn a network's images into stored ones; the inverse of `to_network`.

    Shape: (B, C, H, W) in [-1, 1] -> (B, C_stored, H, W), or with a depth.
    """
    wanted = stored_type(spec)
    if spec.kind == "labels":
        return images.argmax(1, keepdim=True).to(wanted)
    values = (images.float().clamp(-1, 1) + 1) * ((spec.high - spec.low) / 2) + spec.low
    return values if wanted == torch.float32 else values.round().to(wanted)


def to_picture(image: Tensor, spec: ImageSpec) -> NDArray[np.uint8]:
    """Show one network image to people: what its spec says of it, or its first three channels; of a volume its middle.

    Of more than four, where the spec doesn't say, each pixel is in the colour of its strongest one.

    Shape: (C, H, W) or (C, D, H, W) in [-1, 1] -> (H, W, 3) of uint8.
    """
    image = image.detach().cpu()
    image = image[:, image.shape[1] // 2] if image.ndim == 4 else image
    if spec.shown and spec.kind == "intensity":
        image = image[list(spec.shown)]
    if spec.kind == "labels" or len(image) > MOST:
        palette = torch.tensor(palette_of(spec), dtype=torch.uint8)
        return palette[image.argmax(0)].numpy()
    values = ((image.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    values = values[:3] if len(values) >= 3 else values[:1].expand(3, -1, -1)
    return values.permute(1, 2, 0).contiguous().numpy()


def palette_of(spec: ImageSpec) -> tuple[tuple[int, int, int], ...]:
    """Return the colours in which channels are shown to people: the palette, or others where there is none."""
    return spec.palette or _colours(spec.channels)


def _colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Pick well separated colours by walking around the hues in golden steps."""
    from colorsys import hsv_to_rgb

    def colour(index: int) -> tuple[int, int, int]:
        red, green, blue = hsv_to_rgb(index * 0.618034 % 1, 0.75 - 0.25 * (index % 2), 0.95 - 0.3 * (index % 3 == 2))
        return int(red * 255), int(green * 255), int(blue * 255)

    return tuple(map(colour, range(count)))
