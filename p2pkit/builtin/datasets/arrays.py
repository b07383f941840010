"""Shards of arrays: `.npy` files of records (key, source, target), as `p2pkit data shard --encoding raw` writes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from p2pkit.untyped import Untyped

Sample = Mapping[str, Untyped]


def holds_arrays(file: str) -> bool:
    """Whether a shard is of arrays, and no tar file."""
    return file.endswith(".npy")


def can_be_mapped(file: str) -> bool:
    """Whether a shard of arrays is on a local disk, so that nothing is copied and only what is asked for is read."""
    return holds_arrays(file) and "://" not in file


def count_records(file: str) -> int:
    """Return how many pairs a local shard of arrays holds."""
    return len(np.load(file, mmap_mode="r"))


def array_samples(file: str) -> Iterator[Sample]:
    """Yield a shard's samples, whose images are tensors; those of a mapped one lie in the file.

    Raises:
        ValueError: It is no such file, or damaged; `EOFError` where it is cut off.
    """
    if can_be_mapped(file):
        # a private map: read-only memory makes torch warn, and nothing can be written to the file through this one
        yield from _samples(np.asarray(np.load(file, mmap_mode="c")))
        return
    import fsspec

    with fsspec.open(file, "rb") as raw, io.BufferedReader(raw) as stream:  # a raw one may give less than was asked for
        np.lib.format.read_magic(stream)
        (count,), _, kind = np.lib.format.read_array_header_1_0(stream)
        for _ in range(count):
            data = bytearray(kind.itemsize)
            if stream.readinto(data) < len(data):
                raise EOFError("unexpected end of data")
            yield from _samples(np.frombuffer(data, kind))


def _samples(records: NDArray[np.void]) -> Iterator[Sample]:
    if records.ndim != 1 or "key" not in (records.dtype.names or ()):
        raise ValueError("not an array of records with a key")
    keys = records["key"]
    images = {name: torch.from_numpy(records[name]) for name in records.dtype.names or () if name != "key"}
    for row in range(len(records)):
        yield {"__key__": keys[row].decode()} | {name: image[row] for name, image in images.items()}
