"""Pictures by Pillow, and by imagecodecs and netpbmfile where Pillow loses bits."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Annotated

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from pydantic import Field

from p2pkit.images.codec import MADE_BY, Codec, Written
from p2pkit.images.limits import check_size, max_pixels
from p2pkit.images.png import deep_png
from p2pkit.untyped import Untyped

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TGA", "JPEG2000", "TIFF", "PPM")
_RGB_FIRST = frozenset({"P", "PA", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "RGBa", "La"})
_PNG = b"\x89PNG\r\n\x1a\n"
_SCANS = 500
"""Passes over a JPEG's pixels, as many as libjpeg-turbo advises; each costs as much as a file of its own."""
_WITH_ALPHA = frozenset({".png", ".webp", ".avif", ".jp2", ".tga"})
_DEEP = frozenset({".png", ".jp2", ".ppm", ".pgm", ".pnm"})


class Pictures(Codec):
    """Pictures as people look at them: PNG, JPEG, WebP, AVIF, BMP, GIF, TGA, JPEG 2000 and PPM, in 8 or 16 bits.

    Args:
        indexed: Whether a palette image is its indices and not its colours.
    """

    suffixes = (
        *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tga"),
        *(".jp2", ".ppm", ".pgm", ".pbm", ".pnm"),
    )

    def __init__(
        self,
        *,
        indexed: Annotated[
            bool, Field(description="Whether a palette image is its indices and not its colours.")
        ] = False,
    ) -> None:
        self.indexed = indexed

    def sniff(self, head: bytes) -> bool:
        """Say whether one of Pillow's formats begins so; TGA has nothing to be told by."""
        Image.init()
        accepts = (Image.OPEN[name][1] for name in _FORMATS if name in Image.OPEN)
        begins = head[:64].ljust(64, b"\0")
        return any(accept is not None and accept(begins) is True for accept in accepts)

    def decode(self, file: IO[bytes]) -> NDArray[np.generic]:
        """Read a picture in the depth that it has, turned upright."""
        head = file.read(64)
        file.seek(0)
        if head.startswith(_PNG) and head[24:26] in (b"\x10\x02", b"\x10\x04", b"\x10\x06"):
            check_size(*reversed(struct.unpack(">II", head[16:24])))
            return _deep(file, "png_decode")
        if head[:2] in (b"P5", b"P6") and _deep_netpbm(head):
            return _netpbm(file)
        return self._by_pillow(file)

    def _by_pillow(self, file: IO[bytes]) -> NDArray[np.generic]:
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
            if image.format == "PNG" and image.mode != "P" and "transparency" in image.info and not self.indexed:
                turned = image.getexif().get(ExifTags.Base.Orientation, 1)
                file.seek(0)
                return _upright(_deep(file, "png_decode"), turned)  # a colour that is transparent becomes alpha
            if image.format == "JPEG":
                _check_scans(file)
            return from_pillow(image, self.indexed)

    def keeps(self, kind: np.dtype[np.generic], channels: int, suffix: str) -> bool:
        """Say whether a file of a suffix keeps depth and channels, by whichever encoder."""
        if suffix == ".png" and kind == np.uint16 and channels <= 4:
            return True
        return fits(kind, channels, suffix)

    def encode(self, file: IO[bytes], array: NDArray[np.generic], suffix: str, beside: Written) -> None:
        """Write a picture with its profile and its EXIF; a PNG says by what it was made."""
        if suffix == ".png" and array.dtype == np.uint16 and array.shape[2] > 1:
            file.write(deep_png(array))
            return
        options: dict[str, Untyped] = {"compress_level": 1} if beside.fast else {}
        options |= {"icc_profile": beside.profile} if beside.profile else {}
        options |= {"exif": beside.exif} if beside.exif else {}
        if suffix == ".png":
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_text("Software", MADE_BY)
        to_pillow(array).save(file, Image.registered_extensions()[suffix], **options)


def fits(kind: np.dtype[np.generic], channels: int, suffix: str) -> bool:
    """Say whether Pillow keeps the depth and the channels; it narrows some without a word."""
    if kind == np.uint8:
        return channels in (1, 3) or (channels in (2, 4) and suffix in _WITH_ALPHA)
    return channels == 1 and kind == np.uint16 and suffix in _DEEP


def _upright(array: NDArray[np.generic], turned: int) -> NDArray[np.generic]:
    """Turn an image as its EXIF says: rows or columns backwards, and from 5 on both swapped."""
    rows, columns = (slice(None, None, -1 if turned in codes else 1) for codes in ((3, 4, 6, 7), (2, 3, 7, 8)))
    array = array[rows, columns]
    return array.swapaxes(0, 1) if turned in (5, 6, 7, 8) else array


def to_pillow(array: NDArray[np.generic]) -> Image.Image:
    """Return an image (H, W, C) as Pillow's."""
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


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


def _check_scans(file: IO[bytes]) -> None:
    position = file.tell()
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(position)
    if scans > _SCANS:
        raise OSError(f"the image is damaged: a JPEG of {scans} scans")
