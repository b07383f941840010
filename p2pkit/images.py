"""Images on disk, as stored tensors, as networks see them, and as pictures for people."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from p2pkit.types import ImageSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".npy"})
_RGB_FIRST = frozenset({"P", "PA", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "RGBa", "La"})


def read_image(file: Path | IO[bytes], *, indexed: bool = False) -> Tensor:
    """Read an image as it is stored: 8-bit, 16-bit or float, one to N channels.

    Args:
        file: A path or an open file. `.npy` holds an array (H, W) or (H, W, C); Pillow reads everything else.
        indexed: Whether a palette image is wanted as its indices and not as its colours.

    Returns:
        Tensor of uint8, uint16 or float32.

    Raises:
        OSError: The file can't be read, or it is damaged.

    Shape: (C, H, W).
    """
    if isinstance(file, Path) and file.suffix == ".npy":
        try:
            return _from_array(np.load(file, allow_pickle=False))
        except ValueError as error:
            raise OSError(f"not an image array: {error}") from None
    try:
        with Image.open(file) as image:
            return _from_pillow(image, indexed)
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:  # how Pillow reports damaged files
        raise OSError(str(error)) from None


def image_tensor(image: Image.Image | NDArray[np.generic] | Tensor | Path | str) -> Tensor:
    """Return any form of an image as a stored tensor; arrays are (H, W) or (H, W, C), tensors (C, H, W)."""
    if isinstance(image, Tensor):
        return image
    if isinstance(image, Image.Image):
        return _from_pillow(image, indexed=False)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    return read_image(Path(image))


def _from_pillow(image: Image.Image, indexed: bool) -> Tensor:
    image = ImageOps.exif_transpose(image)
    if image.mode == "P" and indexed:
        return _from_array(np.asarray(image))
    if image.mode in _RGB_FIRST:
        image = image.convert("RGBA" if "transparency" in image.info or image.mode in ("PA", "RGBa") else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    return _from_array(np.asarray(image))


def _from_array(array: NDArray[np.generic]) -> Tensor:
    if array.ndim not in (2, 3):
        raise OSError(f"an image has two or three dimensions, not {array.ndim}")
    if array.dtype.kind in "iu" and array.dtype.itemsize > 1:
        wide = array.size > 0 and (array.min() < 0 or array.max() > 65535)
        array = array.astype(np.float32 if wide else np.uint16)
    elif array.dtype != np.uint8:
        array = array.astype(np.float32)
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))


def write_image(image: Tensor, path: Path) -> None:
    """Write a stored image; what the format can't hold goes to a `.npy` file beside the path asked for.

    Args:
        image: uint8, uint16 or float32.
        path: Where to; the suffix chooses the format.

    Shape: image (C, H, W).
    """
    array = image.permute(1, 2, 0).contiguous().numpy()
    array = array[..., 0] if array.shape[2] == 1 else array
    fits = array.ndim == 2 or (array.dtype == np.uint8 and array.shape[2] <= 4)
    floats = array.dtype == np.float32 and path.suffix.lower() not in (".tif", ".tiff")
    if path.suffix == ".npy" or not fits or floats:
        np.save(path.with_suffix(".npy"), array)
    else:
        Image.fromarray(array).save(path)


def full_scale(image: Tensor) -> float:
    """Return the largest value that an image of this type can store; 1 for floats."""
    return {torch.uint8: 255.0, torch.uint16: 65535.0}.get(image.dtype, 1.0)


def conform(image: Tensor, spec: ImageSpec) -> Tensor:
    """Give a stored image the channels and value range of a spec.

    Grey becomes colour by repetition, colour becomes grey by luma (or lightness where the spec says so), alpha is
    laid on white, labels painted in the palette's colours become indices.

    Args:
        image: Any stored image.
        spec: What it should be.

    Returns:
        The stored image; the same object where nothing had to change.

    Raises:
        OSError: The image has other channels than the spec, and no rule leads from one to the other.

    Shape: (C, H, W) -> (C_stored, H, W).
    """
    if spec.kind == "labels":
        return _indices(image, spec)
    scale = full_scale(image)
    if image.shape[0] != spec.channels or (spec.lightness and image.shape[0] > 1):
        image = _rechannel(image, spec, scale)
    if spec.high in (255.0, 65535.0) and scale != spec.high:
        image = (image.float() * (spec.high / scale)).round().clamp(0, spec.high)
        return image.to(torch.uint8 if spec.high == 255 else torch.uint16)
    return image


def _rechannel(image: Tensor, spec: ImageSpec, scale: float) -> Tensor:
    values = image.float()
    if values.shape[0] in (2, 4) and spec.channels in (1, 3):
        alpha = values[-1:] / scale
        values = values[:-1] * alpha + scale * (1 - alpha)
    if values.shape[0] == 3 and spec.channels == 1:
        values = _lightness(values, scale) if spec.lightness else _luma(values)
    elif values.shape[0] in (1, 3) and spec.channels in (3, 4):
        values = values.expand(3, -1, -1) if values.shape[0] == 1 else values
        values = values if spec.channels == 3 else torch.cat([values, torch.full_like(values[:1], scale)])
    if values.shape[0] != spec.channels:
        raise OSError(f"has {image.shape[0]} channels, where {spec.channels} are wanted")
    return values.to(image.dtype) if image.is_floating_point() else values.round().clamp(0, scale).to(image.dtype)


def _luma(values: Tensor) -> Tensor:
    return (values * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)


def _lightness(values: Tensor, scale: float) -> Tensor:
    from kornia.color import rgb_to_lab

    lightness: Tensor = rgb_to_lab(values[None] / scale)[0, :1]
    return lightness / 100 * scale


def _indices(image: Tensor, spec: ImageSpec) -> Tensor:
    if image.shape[0] == 1:
        return image
    if not spec.palette or image.shape[0] < 3:
        raise OSError(f"has {image.shape[0]} channels, where one of class indices is wanted")
    palette = torch.tensor(spec.palette, dtype=torch.float32)
    colours = image[:3].float().flatten(1).T
    return torch.cdist(colours, palette).argmin(1).view(1, *image.shape[1:]).to(torch.uint8)


def resize(image: Tensor, height: int, width: int, *, nearest: bool = False) -> Tensor:
    """Resize a stored image, bicubic with antialiasing, or nearest for labels.

    Shape: (C, H, W) -> (C, height, width), same type.
    """
    if image.shape[1:] == (height, width):
        return image
    batch = image[None] if image.dtype in (torch.uint8, torch.float32) else image[None].float()
    if nearest:
        return functional.interpolate(batch, (height, width), mode="nearest-exact")[0].to(image.dtype)
    resized = functional.interpolate(batch, (height, width), mode="bicubic", antialias=True)[0]
    if resized.dtype == image.dtype:
        return resized
    return resized.round().clamp(0, full_scale(image)).to(image.dtype)


def to_network(stored: Tensor, spec: ImageSpec) -> Tensor:
    """Turn stored images into what networks see: [-1, 1]; a plane for each class, 1 where a pixel is of it, else -1.

    Shape: (B, C_stored, H, W) -> (B, C, H, W), float32.
    """
    if spec.kind == "labels":
        classes = torch.arange(spec.channels, device=stored.device).view(1, -1, 1, 1)
        return torch.where(stored.to(torch.int64) == classes, 1.0, -1.0)
    return (stored.float() - spec.low) * (2 / (spec.high - spec.low)) - 1


def to_stored(images: Tensor, spec: ImageSpec) -> Tensor:
    """Turn a network's images into stored ones; the inverse of `to_network`.

    Shape: (B, C, H, W) in [-1, 1] -> (B, C_stored, H, W).
    """
    if spec.kind == "labels":
        return images.argmax(1, keepdim=True).to(torch.uint8 if spec.channels <= 256 else torch.uint16)
    values = (images.float().clamp(-1, 1) + 1) * ((spec.high - spec.low) / 2) + spec.low
    if spec.high in (255.0, 65535.0):
        return values.round().to(torch.uint8 if spec.high == 255 else torch.uint16)
    return values


def to_picture(image: Tensor, spec: ImageSpec) -> NDArray[np.uint8]:
    """Show one network image to people; beyond three channels the first three.

    Shape: (C, H, W) in [-1, 1] -> (H, W, 3) of uint8.
    """
    image = image.detach().cpu()
    if spec.kind == "labels":
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
