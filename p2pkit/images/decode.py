"""Image files as arrays, each by the codec that knows how it begins."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

from p2pkit.images.codec import Codec, head_of, open_regular, sound_errors
from p2pkit.images.exr import Exr
from p2pkit.images.npy import Npy
from p2pkit.images.pictures import Pictures
from p2pkit.images.tiff import Tiff

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODECS: dict[str, type[Codec]] = {"npy": Npy, "exr": Exr, "tiff": Tiff, "pictures": Pictures}
"""The formats that p2pkit reads itself, by name; in the order in which they look at how a file begins."""
_BY_SUFFIX = {suffix: codec() for codec in CODECS.values() for suffix in codec.suffixes}
_ZIPS = (b"PK\3\4", b"PK\5\6")
_INSTEAD = {
    b"version https://git-lfs": "is a pointer of Git LFS in the image's place; `git lfs pull` brings the image",
    b"<!doctype html": "is a web page, of a download that failed",
    b"<html": "is a web page, of a download that failed",
    b"<svg": "is a drawing in SVG; save it as PNG",
    b"<?xml": "is a text in XML, for instance a drawing in SVG; save it as PNG",
}
"""What stands in the place of images, by how it begins."""
_HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc")


def codec_of(suffix: str) -> Codec | None:
    """Return the codec that writes files of a suffix, in lower case; None where there is none."""
    return _BY_SUFFIX.get(suffix)


def is_known(head: bytes) -> bool:
    """Say whether a file that begins so is of a format that p2pkit reads itself, or is an archive, which it refuses."""
    return head.startswith(_ZIPS) or any(codec().sniff(head) for codec in CODECS.values())


def decode(file: Path | IO[bytes], indexed: bool) -> NDArray[np.generic]:
    """Decode a file, whatever its name says it is.

    Returns:
        An array (H, W) or (H, W, C).

    Raises:
        OSError: The file can't be read; whatever a decoder raises becomes one.
    """
    with sound_errors():
        if isinstance(file, Path):
            with open_regular(file) as opened:
                return _decode(opened, indexed)
        return _decode(file, indexed)


def _decode(file: IO[bytes], indexed: bool) -> NDArray[np.generic]:
    head = head_of(file)
    if head.startswith(_ZIPS):  # zipfile would ask the end, for which an archive's entry is unpacked as a whole
        raise OSError("is an archive, for instance an NPZ; save its array by numpy.save as .npy")
    if head[4:12] in _HEIC:
        raise OSError("is HEIC, in which phones save photos; save it as JPEG or PNG")
    for begin, cause in _INSTEAD.items():
        if head.lstrip(b"\xef\xbb\xbf \r\n").lower().startswith(begin):
            raise OSError(cause)
    for codec in (Npy(), Exr(), Tiff()):
        if codec.sniff(head):
            array = codec.decode(file)
            if array is not None:
                return array
            file.seek(0)
    return Pictures(indexed=indexed).decode(file)
