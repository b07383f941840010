"""Images on disk: read as they are stored, written so that nothing is lost."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


_COMMON = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tga")
IMAGE_SUFFIXES = frozenset({*_COMMON, ".jp2", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".npy"})
"""What names of image files end with; in lower case."""
_RGB_FIRST = frozenset({"P", "PA", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "RGBa", "La"})
_WITH_ALPHA = frozenset({".png", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".tga"})
_DEEP = frozenset({".png", ".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".pnm"})
_DAMAGED = (SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)


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
    if _holds_array(file):
        try:
            return _from_array(np.load(file, allow_pickle=False))
        except (ValueError, EOFError) as error:
            raise OSError(f"not an image array: {error}") from None
    try:
        with Image.open(file) as image:
            return _from_pillow(image, indexed)
    except UnidentifiedImageError:
        raise OSError("not an image, or of a format that can't be read here") from None
    except (*_DAMAGED, Image.DecompressionBombError) as error:  # what Pillow's decoders raise on damaged files
        raise OSError(f"the image is damaged: {error}") from None


def _holds_array(file: Path | IO[bytes]) -> bool:
    if isinstance(file, Path):
        return file.suffix.lower() == ".npy"
    start = file.read(6)
    file.seek(0)
    return start == b"\x93NUMPY"


def image_tensor(image: Image.Image | NDArray[np.generic] | Tensor | Path | str, *, indexed: bool = False) -> Tensor:
    """Return any form of an image as a stored tensor.

    Args:
        image: An array (H, W) or (H, W, C), a tensor (C, H, W), Pillow's image, or the path of a file.
        indexed: Whether a palette image is wanted as its indices and not as its colours.

    Raises:
        OSError: A file can't be read, or an array or tensor is no image.

    Shape: (C, H, W).
    """
    if isinstance(image, Tensor):
        if image.ndim == 3 and image.dtype in (torch.uint8, torch.uint16, torch.float32):
            return image
        plain = image.detach().cpu()
        plain = plain.float() if plain.is_floating_point() else plain
        return _from_array(plain.permute(1, 2, 0).numpy() if plain.ndim == 3 else plain.numpy())
    if isinstance(image, Image.Image):
        return _from_pillow(image, indexed)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    return read_image(Path(image), indexed=indexed)


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
    if array.dtype.kind not in "biuf":
        raise OSError(f"an image holds numbers, not {array.dtype}")
    if array.size == 0:
        raise OSError(f"the image is empty: {' x '.join(map(str, array.shape))}")
    if array.dtype.kind in "iu" and array.dtype.itemsize > 1:
        wide = array.min() < 0 or array.max() > 65535
        array = array.astype(np.float32 if wide else np.uint16)
    elif array.dtype != np.uint8:
        array = array.astype(np.float32)
    if array.dtype == np.float32 and not np.isfinite(array).all():
        raise OSError("the image holds values that are not finite")
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))


def write_image(image: Tensor, path: Path, *, fast: bool = False) -> Path:
    """Write a stored image; what the format can't hold goes to a `.npy` file beside the path asked for.

    Args:
        image: uint8, uint16 or float32.
        path: Where to; the suffix chooses the format.
        fast: Whether a PNG is compressed lightly: in half the time, to a file that is a little larger.

    Returns:
        The file that was written.

    Raises:
        OSError: The file can't be written.
        ValueError: The suffix is of no known format.

    Shape: image (C, H, W).
    """
    array = _to_array(image)
    if path.suffix.lower() != ".npy" and _fits(array, path.suffix.lower()):
        options: dict[str, Any] = {"compress_level": 1} if fast else {}
        _to_pillow(array).save(path, **options)
        return path
    path = path.with_suffix(".npy")
    np.save(path, array[..., 0] if array.shape[2] == 1 else array)
    return path


def png(image: Tensor) -> bytes | None:
    """Return a stored image as the content of a PNG file; None where PNG can't hold its depth or channels.

    Shape: image (C, H, W).
    """
    array = _to_array(image)
    if not _fits(array, ".png"):
        return None
    buffer = io.BytesIO()
    _to_pillow(array).save(buffer, "PNG")
    return buffer.getvalue()


def _to_array(image: Tensor) -> NDArray[np.generic]:
    return image.detach().cpu().permute(1, 2, 0).contiguous().numpy()


def _to_pillow(array: NDArray[np.generic]) -> Image.Image:
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _fits(array: NDArray[np.generic], suffix: str) -> bool:
    """Say whether a format keeps the depth and the channels; Pillow narrows some without a word."""
    channels = array.shape[2]
    if array.dtype == np.uint8:
        return channels in (1, 3) or (channels in (2, 4) and suffix in _WITH_ALPHA)
    return channels == 1 and suffix in (_DEEP if array.dtype == np.uint16 else (".tif", ".tiff"))
