"""NumPy's arrays, which keep any type and any number of channels."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING

import numpy as np

from p2pkit.images.codec import Codec, Written
from p2pkit.images.limits import check_size, max_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Npy(Codec):
    """Arrays of NumPy, `.npy`: numbers of any type, one to many channels."""

    suffixes = (".npy",)

    def sniff(self, head: bytes) -> bool:
        """Say whether it begins as NumPy's arrays do."""
        return head.startswith(b"\x93NUMPY")

    def decode(self, file: IO[bytes]) -> NDArray[np.generic]:
        """Read an array, whose header is held against the file's size before memory is taken."""
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

    def keeps(self, kind: np.dtype[np.generic], channels: int, suffix: str) -> bool:
        """It keeps all."""
        return True

    def encode(self, file: IO[bytes], array: NDArray[np.generic], suffix: str, beside: Written) -> None:
        """Write an image (H, W, C), of one channel as (H, W), or a volume (D, H, W, C)."""
        np.save(file, array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
