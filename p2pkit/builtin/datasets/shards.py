"""Pairs in shards, read one after another from local files, http or object stores."""

from __future__ import annotations

import errno
import hashlib
import io
import random
import re
import tarfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

import p2pkit
from p2pkit import ImageSpec, Pair, PairSpec, Shard, VectorSpec
from p2pkit.builtin.datasets.arrays import Sample, array_samples, can_be_mapped, holds_arrays
from p2pkit.builtin.datasets.files import LARGEST

_HEAD_REQUESTS = 16
_META = re.compile(r"__[^/]*__($|/)")  # what webdataset leaves out


@dataclass(frozen=True)
class ShardStream:
    """The pairs of one split; see `p2pkit.PairStream`.

    Args:
        shards: The files, with whole paths or URLs.
        images: What the pairs should be.
        source: Name of the source in a sample, with or without its suffix.
        target: Name of the target.
        buffer: Pairs that are mixed, beside the order of the shards.
    """

    shards: tuple[Shard, ...]
    images: PairSpec
    source: str = "source"
    target: str = "target"
    buffer: int = 256

    def __len__(self) -> int:
        return sum(shard.pairs for shard in self.shards)

    @property
    def resident(self) -> bool:
        """Whether all shards can be mapped into memory."""
        return all(can_be_mapped(shard.file) for shard in self.shards)

    def problems(self) -> list[p2pkit.Problem]:
        """List the shards that are missing, or not of the size that they should have."""
        with ThreadPoolExecutor(_HEAD_REQUESTS) as pool:
            return [problem for problem in pool.map(_missing, self.shards) if problem]

    def decoders(
        self, *, part: int = 0, parts: int = 1, seed: int | None = None, start: int = 0
    ) -> Iterator[Callable[[], Pair]]:
        """Yield a function for each pair of a part, which is a range of the shards in their order.

        Args:
            part: The number of the part, from 0.
            parts: How many there are: one for each process.
            seed: Of the order in which shards and pairs come; without one they come as they lie.
            start: How many pairs of that order are left out, since they were seen before.
        """
        first, last = (len(self) * number // parts for number in (part, part + 1))
        shards = list(self.shards)
        order: Iterator[int] = iter(range(last - first))
        if seed is not None:
            random.Random(seed).shuffle(shards)
            order = _mixed(last - first, self.buffer, random.Random(f"{seed} {part} {parts}"))
        given = bytearray(last - first)
        for position in islice(order, start):
            given[position] = True
        samples = self._samples(shards, first, given)
        waiting: dict[int, Callable[[], Pair]] = {}
        for position in order:
            while position not in waiting:
                waiting.update([next(samples)])
            yield waiting.pop(position)

    def _samples(
        self, shards: Iterable[Shard], first: int, given: bytearray
    ) -> Iterator[tuple[int, Callable[[], Pair]]]:
        """Yield the pairs of a range that are not given yet, with their positions; no other shard is opened."""
        begin = -first
        for shard in shards:
            here = range(max(begin, 0), min(begin + shard.pairs, len(given)))
            wanted = [position for position in here if not given[position]]
            if wanted:
                yield from self._of_shard(shard, begin, wanted)
            begin += shard.pairs

    def _of_shard(self, shard: Shard, begin: int, wanted: list[int]) -> Iterator[tuple[int, Callable[[], Pair]]]:
        missing, read = deque(wanted), 0
        try:
            with closing(samples_of(shard.file)) as samples:
                for read, sample in enumerate(samples, 1):
                    if missing[0] == begin + read - 1:
                        yield missing.popleft(), partial(_pair, sample, shard.file, self)
                    if not missing:
                        return
        except OSError as error:
            problem = _problem(shard.file, f"can't be read after {read} of {shard.pairs} pairs: {error}")
        else:
            problem = _problem(shard.file, f"holds {read} pairs, where {shard.pairs} are stated")
        yield from ((lost, partial(_fail, problem)) for lost in missing)


def _mixed(count: int, buffer: int, dice: random.Random) -> Iterator[int]:
    """Yield all positions in the order in which a buffer that is refilled gives them at random."""
    held: list[int] = []
    for position in range(count):
        if len(held) < buffer:
            held.append(position)
            continue
        index = dice.randrange(buffer)
        yield held[index]
        held[index] = position
    dice.shuffle(held)
    yield from held


def samples_of(file: str) -> Generator[Sample]:
    """Yield a shard's samples; `OSError` where that fails, whatever a store may raise."""
    try:
        yield from array_samples(file) if holds_arrays(file) else _tar_samples(file)
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise OSError(f"it is damaged or cut off ({error})") from None
    except Exception as error:
        raise OSError(getattr(error, "strerror", None) or p2pkit.first_line(error, typed=True)) from None


def _tar_samples(url: str) -> Iterator[Sample]:
    import fsspec
    from webdataset.tariterators import group_by_keys

    with fsspec.open(url, "rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
        yield from group_by_keys(_members(url, tar))


def entries(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield a tar file's files, unless one is too large to be read; `OSError` then."""
    for entry in tar:
        if not entry.isreg() or _META.match(entry.name):
            continue
        if entry.size > LARGEST:
            cause = f"its {entry.name} is of {entry.size} bytes, more than the {LARGEST} that are read"
            raise OSError(errno.EFBIG, cause)
        yield entry


def _members(url: str, tar: tarfile.TarFile) -> Iterator[Sample]:
    """Yield a tar file's members as webdataset groups them; its own reader takes each into memory, however large."""
    for entry in entries(tar):
        content = tar.extractfile(entry)
        assert content is not None  # it is a file
        yield {"fname": entry.name, "data": content.read(), "__url__": url}
        tar.members.clear()  # type: ignore[attr-defined]  # headers of all members, which typeshed does not know


def member(sample: Sample, name: str) -> tuple[str, bytes | Tensor]:
    """Find what a sample holds by its name, with or without suffix; `OSError` where there is none."""
    key = _key(tuple(sample), name.lower())
    return key, sample[key]


@lru_cache(256)
def _key(keys: tuple[str, ...], name: str) -> str:
    """Find a name among a sample's keys, which are mostly those of the sample before it."""
    found = [key for key in keys if key.lower() == name or key.lower().startswith(f"{name}.")]
    if len(found) != 1:
        there = ", ".join(key for key in keys if not key.startswith("__"))
        raise OSError(f"has {len(found)} entries {name}; there are: {there}")
    return found[0]


def decoded(suffixed: str, data: bytes | Tensor, *, indexed: bool = False) -> Tensor:
    """Decode an image; `OSError` where that fails."""
    if isinstance(data, Tensor):
        return data
    if not suffixed.endswith(f".{p2pkit.ShardIndex.RAW}"):
        return p2pkit.read_image(io.BytesIO(data), indexed=indexed)
    return _array(data)


def _array(data: bytes | Tensor) -> Tensor:
    if isinstance(data, Tensor):
        return data
    try:
        return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))
    except (ValueError, EOFError, MemoryError) as error:  # a header may ask for any memory
        raise OSError(f"not an array: {error}") from None


def _pair(sample: Sample, url: str, stream: ShardStream) -> Pair:
    images, name = stream.images, p2pkit.ShardIndex.name_of(sample["__key__"])
    called = {"source": stream.source, "target": stream.target}
    try:
        held = {
            side: _held(*member(sample, called.get(side, side)), spec, images) for side, spec in images.stored.items()
        }
    except OSError as error:
        raise p2pkit.DataError(_problem(f"{url}, {name}", str(error))) from None
    return Pair(held.pop("source"), held.pop("target"), name, held)


def _held(suffixed: str, data: bytes | Tensor, spec: ImageSpec | VectorSpec, images: PairSpec) -> Tensor:
    if isinstance(spec, VectorSpec):
        return _array(data)
    labels = spec.kind == "labels"
    image = p2pkit.conform(decoded(suffixed, data, indexed=labels), spec)
    return p2pkit.resize(image, images.height, images.width, nearest=labels)


def _missing(shard: Shard) -> p2pkit.Problem | None:
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(shard.file)
        size = files.info(path).get("size")
    except Exception as error:  # stores raise what they like
        cause = (
            "there is no such file" if isinstance(error, FileNotFoundError) else p2pkit.first_line(error, typed=True)
        )
        return _problem(shard.file, cause)
    if None in (size, shard.bytes) or size == shard.bytes:
        return None
    return _problem(shard.file, f"is of {size} bytes, where its index says {shard.bytes}: cut off, or another file")


def _fail(problem: p2pkit.Problem) -> Pair:
    raise p2pkit.DataError(problem)


def _problem(where: str, cause: str) -> p2pkit.Problem:
    return p2pkit.Problem(where, cause, "mend it, or go on without it by `dataset.unreadable: skip`")


@dataclass(frozen=True)
class ShardDataset:
    """A data set of shards; see `p2pkit.PairDataset`.

    Args:
        spec: What the images are.
        streams: The pairs of each split.
        fingerprints: What the index says of the pairs.
    """

    spec: PairSpec
    streams: Mapping[str, ShardStream]
    fingerprints: Mapping[str, str]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.streams)

    def pairs(self, split: str) -> ShardStream:
        """Return the pairs of a split."""
        if split not in self.streams:
            problem = p2pkit.Problem("", f"the data has no split {split!r}", f"it has {', '.join(self.streams)}")
            raise p2pkit.DataError(problem)
        return self.streams[split]

    def at(self, height: int, width: int) -> ShardDataset:
        """Return the same data at another size."""
        spec = replace(self.spec, height=height, width=width)
        return replace(self, spec=spec, streams={k: replace(s, images=spec) for k, s in self.streams.items()})

    def fingerprint(self, split: str) -> str:
        """Return a text that changes with the pairs, or with the list of shards where there is no index."""
        stated = self.fingerprints.get(split) or repr(self.pairs(split).shards)
        return hashlib.sha256(f"{stated} {self.spec}".encode()).hexdigest()[:12]
