"""Local shards of arrays that all lie alike, mapped into memory: nothing is parsed, and only what is asked for is read.

`p2pkit data shard --encoding raw` writes such shards. What the first sample's headers say must then be true of all,
which is checked of all at once.
"""

from __future__ import annotations

import mmap
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import p2pkit
from p2pkit.builtin.datasets.arrays import array_header
from p2pkit.builtin.datasets.tar import CHECKSUM, NAME

Rows = NDArray[np.uint8]
_DIGITS = 8 ** np.arange(5, -1, -1)


def mapped_samples(file: str, count: int) -> Iterator[Mapping[str, Any]] | None:
    """Return a shard's samples, whose images are tensors that lie in the file; None where it has to be read.

    The file must not be changed meanwhile.

    Args:
        file: Path of the tar file.
        count: How many samples it holds.
    """
    try:
        members = _first_members(file)
        rows = _rows(file, count, members)
        arrays = [_array(rows, member) for member in members]
    except (OSError, ValueError, tarfile.TarError):  # whoever reads it says what is wrong
        return None
    keys, suffixes = _names(rows, members)
    alike = all(_alike(rows, member) for member in members)
    if not alike or len(set(keys)) < count or len(set(suffixes)) < len(members):
        return None
    images = dict(zip(suffixes, map(torch.from_numpy, arrays), strict=True))
    return ({"__key__": key} | {s: image[row] for s, image in images.items()} for row, key in enumerate(keys))


def _first_members(file: str) -> list[tarfile.TarInfo]:
    """Read the headers of the first sample, and of the first file of the second one if there is any."""
    members: list[tarfile.TarInfo] = []
    with tarfile.open(file, "r:") as tar:
        while (member := tar.next()) and (not members or _split(member.name)[0] == _split(members[0].name)[0]):
            members.append(member)
    if not members or not all(m.isreg() and m.offset_data == m.offset + tarfile.BLOCKSIZE for m in members):
        raise ValueError("not a sample of plain files")
    if not all(m.name.lower().endswith(f".{p2pkit.ShardIndex.RAW}") for m in members):
        raise ValueError("not only arrays")
    return members


def _rows(file: str, count: int, members: Sequence[tarfile.TarInfo]) -> Rows:
    """Map a file, a row for each sample; a private map, so that nothing can be written to the file through it."""
    end = members[-1].offset_data + members[-1].size
    length = end + -end % tarfile.BLOCKSIZE
    with open(file, "rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    if sys.platform != "win32":
        mapped.madvise(mmap.MADV_WILLNEED)  # so that the system reads ahead
    if len(mapped) < count * length:
        raise ValueError("too short for samples that lie alike")
    return np.frombuffer(mapped, np.uint8, count * length).reshape(count, length)


def _array(rows: Rows, member: tarfile.TarInfo) -> NDArray[Any]:
    """Return an image of all samples as one array."""
    begin = member.offset_data
    start, shape, kind = array_header(rows[0, begin : begin + member.size].tobytes())
    if start + int(np.prod(shape)) * kind.itemsize != member.size or kind.hasobject:
        raise ValueError("not an array of the file's size")
    headers = rows[:, begin : begin + start]
    if (headers != headers[0]).any():
        raise ValueError("arrays of several kinds")
    values = rows[:, begin + start : begin + member.size]
    return values.view(kind).reshape(len(rows), *shape)


def _alike(rows: Rows, member: tarfile.TarInfo) -> bool:
    """Whether a file's headers in all samples differ in the name alone, and have the right checksums."""
    headers = rows[:, member.offset : member.offset_data]
    names, numbers = headers[:, NAME], headers[:, CHECKSUM]
    between, after = headers[:, NAME.stop : CHECKSUM.start], headers[:, CHECKSUM.stop :]
    if any((part != part[0]).any() for part in (between, after, numbers[:, 6:])):
        return False
    rest = int(between[0].sum()) + int(after[0].sum()) + 8 * ord(" ")
    return bool(((numbers[:, :6] - ord("0")) @ _DIGITS == names.sum(1) + rest).all())


def _names(rows: Rows, members: Sequence[tarfile.TarInfo]) -> tuple[list[str], list[str]]:
    """Return the samples' keys and the images' suffixes; no key where the files of a sample have several."""
    columns = [list(map(_text, rows[:, m.offset : m.offset_data][:, NAME])) for m in members]
    keys = [_split(name)[0] for name in columns[0]]
    suffixes = [_split(names[0])[1] for names in columns]
    for names, suffix in zip(columns, suffixes, strict=True):
        if names != [f"{key}.{suffix}" for key in keys]:
            return [], []
    return keys, suffixes


def _text(name: Rows) -> str:
    return name.tobytes().partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _split(name: str) -> tuple[str, str]:
    from webdataset.tariterators import base_plus_ext

    key, suffix = base_plus_ext(name)
    return (key, suffix) if key else (name, "")
