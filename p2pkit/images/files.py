"""Images on disk: read as they are stored, written so that nothing is lost."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from p2pkit.images.beside import Beside
from p2pkit.images.codec import MADE_BY, Tag, Written, head_of
from p2pkit.images.convert import stored_type
from p2pkit.images.decode import codec_of, decode
from p2pkit.images.formats import head_of_path, read_by, reader_of, write_by, writes
from p2pkit.images.listing import suffix_of
from p2pkit.images.pictures import fits, from_pillow, to_pillow
from p2pkit.types import ImageFile, ImageSpec, ReaderChoice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    AnyImage = str | Path | Image.Image | NDArray[np.generic] | Tensor | ImageFile

_STORED = ("uint8", "uint16", "int16", "int32", "float32")


def read_image(
    file: Path | IO[bytes], *, indexed: bool = False, name: str = "", reader: ReaderChoice | str | None = None
) -> Tensor:
    """Read an image as it is stored: whole numbers or floats, one to N channels.

    Args:
        file: A path or an open file. `.npy` holds an array (H, W) or (H, W, C); the bands and pages of a TIFF are
            channels.
        indexed: Whether a palette image is wanted as its indices and not as its colours.
        name: What an open file is called: a plugin's format is known by that.
        reader: Who reads it; by default it is told by the name and the content.

    Returns:
        Tensor of uint8, uint16, int16, int32 or float32, whichever holds all values of the file's type; whole numbers
        of more than 32 bits are int32.

    Raises:
        OSError: The file can't be read, it is damaged or too large, or it holds values that are not finite.

    Shape: (C, H, W), or of a volume (C, D, H, W).
    """
    return read_with_meta(file, indexed=indexed, name=name, reader=reader)[0]


def read_with_meta(
    file: Path | IO[bytes], *, indexed: bool = False, name: str = "", reader: ReaderChoice | str | None = None
) -> tuple[Tensor, object]:
    """Read an image as `read_image` does, and what a reader found beside its pixels, else None."""
    called = file if isinstance(file, Path) else name
    found = reader_of(called, lambda: head_of_path(file) if isinstance(file, Path) else head_of(file), reader)
    if found is None:
        return _from_array(decode(file, indexed)), None
    held = read_by(found, file, suffix_of(called))
    return _from_array(held.pixels), held.meta


def image_tensor(image: AnyImage, *, indexed: bool = False, reader: ReaderChoice | None = None) -> Tensor:
    """Return any form of an image as a stored tensor.

    Args:
        image: An array (H, W), (H, W, C) or (D, H, W, C), a tensor (C, H, W) or (C, D, H, W), Pillow's image, what a
            reader has read, or the path of a file.
        indexed: Whether a palette image is wanted as its indices and not as its colours.
        reader: Who reads files, as for `read_image`.

    Raises:
        OSError: A file can't be read, or an array or tensor is no image.

    Shape: (C, H, W).
    """
    if isinstance(image, Tensor):
        if image.ndim in (3, 4) and str(image.dtype).removeprefix("torch.") in _STORED:
            return image
        plain = image.detach().cpu()
        plain = plain.float() if plain.is_floating_point() else plain
        return _from_array(plain.movedim(0, -1).numpy() if plain.ndim > 2 else plain.numpy())
    if isinstance(image, Image.Image):
        return _from_array(from_pillow(image, indexed))
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if isinstance(image, ImageFile):
        return _from_array(image.pixels)
    if not isinstance(image, str | os.PathLike):
        raise OSError(f"is no image, but {type(image).__name__}")
    return read_image(Path(image), indexed=indexed, reader=reader)


def _from_array(array: NDArray[np.generic]) -> Tensor:
    if array.ndim not in (2, 3, 4):
        raise OSError(f"an image has two or three dimensions and a volume four, not {array.ndim}")
    if array.dtype.kind not in "biuf":
        raise OSError(f"an image holds numbers, not {array.dtype}")
    if array.size == 0:
        raise OSError(f"the image is empty: {' x '.join(map(str, array.shape))}")
    array = array.astype(_stored(array), copy=False)
    if array.dtype == np.float32 and not np.isfinite(array).all():
        raise OSError(f"the image holds {int((~np.isfinite(array)).sum())} values that are not finite")
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(np.array(np.moveaxis(array, -1, 0), order="C"))


def _stored(array: NDArray[np.generic]) -> str:
    """Return the type that holds all values of an array's type, never of this array alone."""
    kind = array.dtype
    if kind.kind in "bf":
        return "float32"
    if kind.kind == "u" and kind.itemsize <= 2:
        return kind.newbyteorder("=").name
    if kind.kind == "i" and kind.itemsize <= 2:
        return "int16"
    least, most = int(array.min()), int(array.max())
    if least < -(2**31) or most >= 2**31:
        raise OSError(f"holds whole numbers from {least} to {most}, beyond 32 bits")
    return "int32"


def write_image(
    image: Tensor,
    path: Path,
    *,
    fast: bool = False,
    tags: list[Tag] | None = None,
    beside: Beside | None = None,
    meta: object = None,
    reader: ReaderChoice | None = None,
) -> Path:
    """Write a stored image; what the format can't hold goes to a `.npy` file beside the path asked for.

    Args:
        image: uint8, uint16, int16, int32 or float32.
        path: Where to; the suffix chooses the format.
        fast: Whether a PNG is compressed lightly: in half the time, to a file that is a little larger.
        tags: A TIFF's place on earth, as `read_georeference` returns it.
        beside: What the file holds beside the pixels, as far as its format can.
        meta: The same for a plugin's format, as its reader made it.
        reader: Who read the file that the image was made of, and writes it where there is `meta`.

    Returns:
        The file that was written.

    Raises:
        OSError: The file can't be written.
        ValueError: The suffix is of no known format.

    Shape: image (C, H, W).
    """
    beside = beside or Beside()
    array = _to_array(image if beside.alpha is None else torch.cat([image, beside.alpha]))
    suffix = suffix_of(path)
    codec = codec_of(suffix)
    writer = reader_of(path, choice=reader if meta is not None or codec is None else None)
    if writer is not None:
        with writing_whole(path, suffix) as partial:
            write_by(writer, partial, array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array, meta)
        return path
    if codec is None:
        raise ValueError(f"unknown file extension: {path.suffix}")
    if array.ndim > 3 or not codec.keeps(array.dtype, array.shape[2], suffix):
        path, suffix = path.with_suffix(".npy"), ".npy"
        codec = codec_of(suffix) or codec
    written = Written(fast, tags or [], beside.profile, beside.exif)
    with writing_whole(path) as partial:
        codec.save(partial, array, suffix, written)
    return path


def image_bytes(image: Tensor, suffix: str, *, tags: list[Tag] | None = None, beside: Beside | None = None) -> bytes:
    """Return a stored image as the content of a file, as `write_image` writes it.

    Args:
        image: uint8, uint16, int16, int32 or float32.
        suffix: Chooses the format: PNG, JPEG, WebP, TIFF or NPY.
        tags: A TIFF's place on earth, as `read_georeference` returns it.
        beside: What the file holds beside the pixels, as far as its format can.

    Raises:
        OSError: The format can't hold the image's depth or channels.

    Shape: image (C, H, W).
    """
    beside = beside or Beside()
    array = _to_array(image if beside.alpha is None else torch.cat([image, beside.alpha]))
    codec = codec_of(suffix)
    if codec is None or not codec.keeps(array.dtype, array.shape[2], suffix):
        raise OSError(f"a {suffix} file can't hold {array.shape[2]} channels of {array.dtype}")
    buffer = io.BytesIO()
    codec.encode(buffer, array, suffix, Written(True, tags or [], beside.profile, beside.exif))
    return buffer.getvalue()


@contextmanager
def writing_whole(path: Path, suffix: str = ".partial") -> Iterator[Path]:
    """Give another name to write under, then rename: a file is whole or not there, and a link is replaced.

    Args:
        path: The file.
        suffix: What the other name ends with.
    """
    partial = path.with_name(f".{os.getpid()}-{threading.get_ident()}{suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno is None and " requested and " in str(error):  # all that NumPy says of a disk that is full
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def suffix_for(spec: ImageSpec, suffix: str) -> str:
    """Return the suffix by which `write_image` writes images of a spec, asked for this one.

    Raises:
        ValueError: The suffix is of no known format.
    """
    called = f"image{suffix}"
    if reader_of(called) is not None:
        return suffix if writes(called) else ".npy"
    codec = codec_of(suffix.lower())
    if codec is None:
        raise ValueError(f"unknown file extension: {suffix}")
    kind = str(stored_type(spec)).removeprefix("torch.")
    channels = 1 if spec.kind == "labels" else spec.channels
    return suffix if codec.keeps(np.dtype(kind), channels, suffix.lower()) else ".npy"


def is_fake(path: Path) -> bool:
    """Say whether a PNG or TIFF file is one that `write_image` has written, as far as its beginning tells."""
    with path.open("rb") as file:
        return MADE_BY.encode() in file.read(4096)


def png(image: Tensor) -> bytes | None:
    """Return a stored image as the content of a PNG file; None where PNG can't hold its depth or channels.

    Shape: image (C, H, W).
    """
    array = _to_array(image)
    if not fits(array.dtype, array.shape[2], ".png"):
        return None
    buffer = io.BytesIO()
    to_pillow(array).save(buffer, "PNG")
    return buffer.getvalue()


def _to_array(image: Tensor) -> NDArray[np.generic]:
    return image.detach().cpu().movedim(0, -1).contiguous().numpy()
