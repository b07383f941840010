"""Image files as arrays, each by a decoder that keeps its depth."""

from __future__ import annotations

import io
import stat
import struct
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from p2pkit.images.exr import MAGIC, read_exr
from p2pkit.images.limits import TooLarge, check_size, limit, max_bytes, max_pixels
from p2pkit.images.tiff import read_tiff
from p2pkit.untyped import Untyped

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TGA", "JPEG2000", "TIFF", "PPM")
_RGB_FIRST = frozenset({"P", "PA", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "RGBa", "La"})
_NUMPY, _TIFFS, _PNG = b"\x93NUMPY", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), b"\x89PNG\r\n\x1a\n"
_ZIPS = (b"PK\3\4", b"PK\5\6")
_SCANS = 500
"""Passes over a JPEG's pixels, as many as libjpeg-turbo advises; each costs as much as a file of its own."""


def decode(file: Path | IO[bytes], indexed: bool) -> NDArray[np.generic]:
    """Decode a file, whatever its name says it is.

    Returns:
        An array (H, W) or (H, W, C).

    Raises:
        OSError: The file can't be read; whatever a decoder raises becomes one.
    """
    try:
        if isinstance(file, Path):
            with open_regular(file) as opened:
                return _decode(opened, indexed)
        return _decode(file, indexed)
    except UnidentifiedImageError:
        raise OSError("not an image, or of a format that can't be read here") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLarge(f"is of more pixels than {limit()}") from None
    except MemoryError:
        raise OSError("there is not enough memory for the image") from None
    except OSError:
        raise
    except Exception as error:  # decoders raise what they like on damaged files
        cause = str(error).partition("\n")[0] or type(error).__name__
        raise OSError(f"the image is damaged: {cause}") from None


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading; never a pipe or a device, which may have no end.

    Raises:
        OSError: There is no such file, or it is none.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("is no file, but a folder, a pipe or a device")
    return path.open("rb")


def _decode(file: IO[bytes], indexed: bool) -> NDArray[np.generic]:
    start = file.read(64)
    file.seek(0)
    if not start:
        raise OSError("the file is empty")
    if start.startswith(_NUMPY):
        return _array(file)
    if start.startswith(MAGIC):
        return read_exr(file)
    if start.startswith(_ZIPS):  # zipfile would ask the end, for which an archive's entry is unpacked as a whole
        raise OSError("is an archive, for instance an NPZ; save its array by numpy.save as .npy")
    file.seek(0)
    if start[:4] in _TIFFS:
        array = read_tiff(file)
        if array is not None:
            return array
        file.seek(0)
    if start.startswith(_PNG) and start[24:26] in (b"\x10\x02", b"\x10\x04", b"\x10\x06"):
        check_size(*reversed(struct.unpack(">II", start[16:24])))
        return _deep(file, "png_decode")
    if start[:2] in (b"P5", b"P6") and _deep_netpbm(start):
        return _netpbm(file)
    return _by_pillow(file, indexed)


def _array(file: IO[bytes]) -> NDArray[np.generic]:
    """Read a `.npy` file, whose header is held against the file's size before memory is taken."""
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = reader(file)
    begin = file.tell()
    there = file.seek(0, io.SEEK_END) - begin
    wanted = kind.itemsize
    for side in shape:
        wanted *= int(side)
    if kind.hasobject or kind.kind not in "biuf":
        raise OSError(f"not an image array: an image holds numbers, not {kind}")
    if there < wanted:
        raise OSError(f"not an image array: the header speaks of {wanted} bytes, and there are {there}")
    if wanted > max_bytes():
        check_size(int(shape[0]), int(shape[1]) if len(shape) > 1 else 1, wanted)
    file.seek(0)
    array: NDArray[np.generic] = np.load(file, allow_pickle=False)
    return array


def _deep(file: IO[bytes], decoder: str) -> NDArray[np.generic]:
    import imagecodecs

    array: NDArray[np.generic] = getattr(imagecodecs, decoder)(file.read())
    return array


def _deep_netpbm(start: bytes) -> bool:
    numbers = [word for line in start[2:].split(b"\n") for word in line.partition(b"#")[0].split()][:3]
    return len(numbers) == 3 and all(number.isdigit() for number in numbers) and int(numbers[2]) > 255


def _netpbm(file: Untyped) -> NDArray[np.generic]:
    import netpbmfile

    with netpbmfile.NetpbmFile(file) as image:
        check_size(image.height, image.width)
        array: NDArray[np.generic] = image.asarray()
    return array.astype(np.uint16)


def _by_pillow(file: IO[bytes], indexed: bool) -> NDArray[np.generic]:
    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow's own limit gives way to ours where that is the higher one
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels())
    Image.init()
    with Image.open(file, formats=_FORMATS) as image:
        check_size(image.height, image.width)
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            frames = getattr(image, "n_frames", 1)
            raise OSError(f"holds {frames} frames; save the ones that are meant as files of their own")
        if image.format == "JPEG2000" and image.mode in ("RGB", "RGBA", "LA"):
            file.seek(0)
            return _deep(file, "jpeg2k_decode")
        if image.format == "JPEG":
            _check_scans(file)
        return from_pillow(image, indexed)


def _check_scans(file: IO[bytes]) -> None:
    position = file.tell()
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(position)
    if scans > _SCANS:
        raise OSError(f"the image is damaged: a JPEG of {scans} scans")


def from_pillow(image: Image.Image, indexed: bool) -> NDArray[np.generic]:
    """Return Pillow's image as an array, in colours or, where asked for, as a palette's indices."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "P" and indexed:
        return np.asarray(image)
    if image.mode in _RGB_FIRST:
        image = image.convert("RGBA" if "transparency" in image.info or image.mode in ("PA", "RGBa") else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    return np.asarray(image)
