"""Files of every format with bytes changed or cut off, by a seed: pixels or our error, soon and in little memory.

The long form: `P2PKIT_TEST_MUTATIONS=2000 pytest tests/images/test_mutations.py -s`, which tells of each format.
"""

from __future__ import annotations

import io
import os
import time
from contextlib import suppress
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from p2pkit import read_image

MUTATIONS = int(os.environ.get("P2PKIT_TEST_MUTATIONS", 100))
_TIFFS = ("lzw", "zlib", "zstd", "jpeg", "jpeg2000", "none")
_BY_PILLOW = ("png", "jpeg", "webp", "avif", "gif", "bmp", "tga", "jpeg2000", "ppm")
_SOON, _LITTLE = 5.0, 2**30


def noise(dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (16, 16, 3)).astype(dtype)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, noise())
    elif kind == "png16":
        return imagecodecs.png_encode(noise(np.uint16))
    elif kind == "jpeg2000-16":
        return imagecodecs.jpeg2k_encode(noise(np.uint16), level=0)
    elif kind == "ppm16":
        return b"P6\n16 16\n4095\n" + (noise(np.uint16) % 4096).astype(">u2").tobytes()
    elif kind.startswith("tif-"):
        compression = None if kind == "tif-none" else kind.removeprefix("tif-")
        tifffile.imwrite(buffer, noise(), photometric="rgb", compression=compression, tile=(16, 16))
    elif kind == "jpeg-progressive":
        Image.fromarray(noise()).save(buffer, "jpeg", progressive=True)
    else:
        Image.fromarray(noise()).save(buffer, kind)
    return buffer.getvalue()


def mutated(whole: bytes, dice: np.random.Generator) -> bytes:
    """Cut a file off, or not, and change up to seven of its bytes."""
    content = bytearray(whole[: dice.integers(1, len(whole) + 1)] if dice.random() < 0.5 else whole)
    for place in dice.integers(0, len(content), dice.integers(1, 8)):
        content[place] = dice.integers(256)
    return bytes(content)


class Peak:
    """The most memory that this process has held since this was made, beyond what it held then; Linux only."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
        self.before = self._read("VmRSS")

    def bytes(self) -> int:
        return self._read("VmHWM") - self.before

    def _read(self, name: str) -> int:
        (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
        return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are asked of Linux")
@pytest.mark.parametrize(
    "kind",
    [
        *(*_BY_PILLOW, "png16", "jpeg2000-16", "ppm16", "jpeg-progressive", "npy"),
        *(f"tif-{x}" for x in _TIFFS),
    ],
)
def test_damaged_files_of_any_format_are_our_error(kind):
    dice, whole = np.random.default_rng(0), encoded(kind)
    read_image(io.BytesIO(whole))
    peak, read, slowest = Peak(), 0, 0.0
    for number in range(MUTATIONS):
        content = mutated(whole, dice)
        begun = time.process_time()  # of this process alone, so that a busy machine changes nothing
        with suppress(OSError):
            read += bool(read_image(io.BytesIO(content)).numel())
        slowest = max(slowest, time.process_time() - begun)
        assert slowest < _SOON, f"file {number} of {kind}"
        assert peak.bytes() < _LITTLE, f"file {number} of {kind}"
    print(f"{kind}: {MUTATIONS} files, {read} read, slowest {slowest:.2f} s, {peak.bytes() / 2**20:.0f} MB")
