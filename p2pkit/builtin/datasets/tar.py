"""Tar files read from front to back: plain headers at once, anything else by webdataset.

Python's tarfile takes longer for a header than a disk takes for a small image. A shard's headers mostly differ from one
another in name alone, so what one of them says holds for all that are like it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any

File = Mapping[str, Any]
NAME, CHECKSUM = slice(0, 100), slice(148, 156)
"""Where a header has what differs between files that are otherwise alike."""
_SPACES = 8 * ord(" ")
"""The checksum counts its own field as spaces."""


def read_files(url: str, stream: BufferedIOBase) -> Iterator[File]:
    """Yield each regular file as webdataset does, and an empty one at the end.

    Args:
        url: Where the tar file is.
        stream: Its bytes; compressed ones are for webdataset.

    Raises:
        tarfile.TarError: It is damaged or cut off.
    """
    known: dict[bytes, _Header] = {}
    while True:
        block = stream.read(tarfile.BLOCKSIZE)
        rest = block[NAME.stop : CHECKSUM.start] + block[CHECKSUM.stop :]
        if rest not in known and (header := _Header.of(block, rest)):
            known[rest] = header
        name = known[rest].name(block) if rest in known else None
        if name is None:
            yield from _by_webdataset(url, _Joined(block, stream))
            return
        data = bytearray(known[rest].size)
        padding = -len(data) % tarfile.BLOCKSIZE
        if stream.readinto(data) < len(data) or len(stream.read(padding)) < padding:
            raise tarfile.ReadError("unexpected end of data")
        yield {"fname": name, "data": data, "__url__": url}


@dataclass(frozen=True, slots=True)
class _Header:
    """What headers say that differ in name and checksum only.

    Args:
        size: Bytes of the file.
        folder: What comes before the name.
        checksum: Sum of all bytes but the name's.
    """

    size: int
    folder: str
    checksum: int

    @classmethod
    def of(cls, block: bytes, rest: bytes) -> _Header | None:
        """Read a header; None where it is no regular file's."""
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return None
        name = block[NAME].partition(b"\0")[0].decode("utf-8", "surrogateescape")
        plain = info.isreg() and not info.issparse() and info.name.endswith(name)
        return cls(info.size, info.name.removesuffix(name), sum(rest) + _SPACES) if plain else None

    def name(self, block: bytes) -> str | None:
        """Return a file's whole name; None where the checksum is wrong, or it is a folder or of no sample."""
        own = block[NAME]
        name = self.folder + own.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        right = block[CHECKSUM].rstrip(b" \0") == b"%06o" % (self.checksum + sum(own))
        return name if right and not name.endswith("/") and not name.startswith("__") else None


@dataclass(slots=True)
class _Joined:
    """A stream with a block that has been read from it put back."""

    block: bytes
    stream: BufferedIOBase

    def read(self, size: int) -> bytes:
        block, self.block = self.block[:size], self.block[size:]
        return block + self.stream.read(size - len(block))


def _by_webdataset(url: str, stream: _Joined) -> Iterator[File]:
    from webdataset.tariterators import tar_file_expander

    if any(stream.block):  # nothing but zeros is the end
        yield from tar_file_expander([{"url": url, "stream": stream}])
    else:
        yield {}
