"""What p2pkit's own formats have in common: read from files that lie on a disk or in memory, and written to both."""

from __future__ import annotations

import stat
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar

from PIL import Image, UnidentifiedImageError

from p2pkit.images.limits import TooLarge, limit
from p2pkit.types import ImageFile
from p2pkit.untyped import Untyped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MADE_BY = "p2pkit write_image"
"""What files say of the software that wrote them."""
Tag = tuple[int, int, int, Untyped, bool]
"""A tag of a TIFF: its code, type, count and value, and whether it is written once."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a file gets beside its pixels, as far as its format can hold it, and how it is packed.

    Args:
        fast: Whether a PNG is compressed lightly.
        tags: A TIFF's place on earth.
        profile: The ICC profile of its colours.
        exif: EXIF.
    """

    fast: bool = False
    tags: list[Tag] = field(default_factory=list)
    profile: bytes = b""
    exif: bytes = b""


class Codec:
    """A format that p2pkit reads and writes itself; a `FileReader` like those of plugins."""

    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def sniff(self, head: bytes) -> bool:
        """Say whether a file is of this format by how it begins."""

    @abstractmethod
    def decode(self, file: IO[bytes]) -> NDArray[np.generic] | None:
        """Read an open file, (H, W) or (H, W, C); None where Pillow knows better."""

    @abstractmethod
    def keeps(self, kind: np.dtype[np.generic], channels: int, suffix: str) -> bool:
        """Say whether a file of this format keeps depth and channels."""

    @abstractmethod
    def encode(self, file: IO[bytes], array: NDArray[np.generic], suffix: str, beside: Written) -> None:
        """Write an image (H, W, C) to an open file."""

    def save(self, path: Path, array: NDArray[np.generic], suffix: str, beside: Written) -> None:
        """Write an image (H, W, C) to a file on a disk, whatever its name ends with."""
        with path.open("wb") as file:
            self.encode(file, array, suffix, beside)

    def read(self, path: Path) -> ImageFile:
        """Read a file.

        Raises:
            OSError: It is of another format, damaged or too large.
        """
        with sound_errors(), open_regular(path) as file:
            if not self.sniff(head_of(file)):
                raise OSError("the file is of another format")
            array = self.decode(file)
        if array is None:
            raise OSError("holds colours of a kind that this reader does not know")
        return ImageFile(array)

    def write(self, path: Path, image: ImageFile) -> None:
        """Write a file.

        Raises:
            OSError: The format can't hold the image.
        """
        array = image.pixels[..., None] if image.pixels.ndim == 2 else image.pixels
        suffix = path.suffix.lower()
        if not self.keeps(array.dtype, array.shape[2], suffix):
            raise OSError(f"a {suffix} file can't hold {array.shape[2]} channels of {array.dtype}")
        self.save(path, array, suffix, Written())


HEAD = 4096
"""Bytes by which a file's format is told."""


def head_of(file: IO[bytes]) -> bytes:
    """Return how an open file begins, and go back to its beginning.

    Raises:
        OSError: It is empty.
    """
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise OSError("the file is empty")
    return head


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading; never a pipe or a device, which may have no end.

    Raises:
        OSError: There is no such file, or it is none.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("is no file, but a folder, a pipe or a device")
    return path.open("rb")


@contextmanager
def sound_errors() -> Iterator[None]:
    """Turn whatever a decoder raises into an `OSError` that says what is wrong with the file."""
    try:
        yield
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
