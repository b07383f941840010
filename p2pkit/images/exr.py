"""OpenEXR: floats of any channels, by the package of its makers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from p2pkit.images.codec import Codec, Written
from p2pkit.images.limits import check_size
from p2pkit.untyped import Untyped

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMES = {1: ("Y",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
_COLOURS = ("R", "G", "B", "Y", "A")


class Exr(Codec):
    """OpenEXR, `.exr`: floats, red, green, blue, or else all channels by their names, alpha last."""

    suffixes = (".exr",)

    def sniff(self, head: bytes) -> bool:
        """Say whether it begins as OpenEXR does."""
        return head.startswith(b"v/1\x01")

    def decode(self, file: IO[bytes]) -> NDArray[np.generic]:
        """Read an image (H, W, C)."""
        return _read(file)

    def keeps(self, kind: np.dtype[np.generic], channels: int, suffix: str) -> bool:
        """It keeps floats."""
        return kind == np.float32

    def encode(self, file: IO[bytes], array: NDArray[np.generic], suffix: str, beside: Written) -> None:
        """Refuse: its package writes files on a disk alone."""
        raise OSError("an .exr file can only be written to a disk")

    def save(self, path: Path, array: NDArray[np.generic], suffix: str, beside: Written) -> None:
        """Write an image (H, W, C) of floats.

        Raises:
            OSError: OpenEXR is not installed.
        """
        _write(path, array)


def _read(file: IO[bytes]) -> NDArray[np.generic]:
    openexr = _package()
    with tempfile.NamedTemporaryFile(suffix=".exr") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        with openexr.File(copy.name, header_only=True) as head:
            if len(head.parts) > 1:
                raise OSError(f"holds {len(head.parts)} parts; save the one that is meant")
            low, high = head.header()["dataWindow"]
            width, height = (int(b - a) + 1 for a, b in zip(low, high, strict=True))
            check_size(height, width, len(head.header()["channels"]))
        with openexr.File(copy.name, separate_channels=True) as image:
            planes = {str(name): np.array(channel.pixels) for name, channel in image.channels().items()}
    order = sorted(planes, key=lambda name: (name == "A", _COLOURS.index(name) if name in _COLOURS else -1, name))
    if any(plane.shape != (height, width) for plane in planes.values()):
        raise OSError("holds channels of different sizes")
    return np.stack([planes[name] for name in order], axis=2).astype(np.float32)


def _write(path: Path, array: NDArray[np.generic]) -> None:
    openexr = _package()
    names = _NAMES.get(array.shape[2], tuple(f"band{index:03}" for index in range(array.shape[2])))
    planes = {name: np.ascontiguousarray(array[..., index]) for index, name in enumerate(names)}
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    openexr.File(header, planes).write(str(path))


def _package() -> Untyped:
    try:
        import OpenEXR
    except ImportError:
        raise OSError("is OpenEXR, for which a package is missing: pip install 'p2pkit[exr]'") from None
    return OpenEXR
