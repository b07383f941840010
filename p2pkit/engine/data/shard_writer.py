"""Write a data set as shards: whole on disk or not there."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from p2pkit.atomic_files import atomic_folder, writing
from p2pkit.engine.data.decode import decode_in_threads, raise_unreadable
from p2pkit.errors import DataError, P2pkitError, Problem
from p2pkit.images.files import png
from p2pkit.shards import Shard, ShardIndex
from p2pkit.types import Pair, PairDataset
from p2pkit.untyped import Plain, Untyped

Encoding = Literal["png", "raw"]
Sample = tuple[str, Mapping[str, Untyped]]
"""What a pair is called, and what its shard holds of each image and of each vector."""
_IMAGE = 3
"""Dimensions of an image; vectors have fewer."""


@dataclass(frozen=True, slots=True)
class _Format:
    """How pairs lie in a file.

    Args:
        suffix: How the file's name ends.
        encode: Makes of a pair what is written, in a thread.
        write: Writes the samples of a shard.
    """

    suffix: str
    encode: Callable[[Pair], Mapping[str, Untyped]]
    write: Callable[[IO[bytes], Sequence[Sample]], None]


def write_shards(
    dataset: PairDataset,
    out: Path,
    *,
    splits: Sequence[str],
    encoding: Encoding = "png",
    per_shard: int = 256,
    unreadable: Literal["stop", "skip"] = "stop",
    made_from: Plain | None = None,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[ShardIndex, list[Problem]]:
    """Write pairs as they are stored, without loss.

    They are written to a folder beside `out`, which gets its name when all of them are there. A shard is in memory
    until it is written.

    Args:
        dataset: The pairs.
        out: A folder that is not there yet.
        splits: Which splits.
        encoding: `png`, in tar files, where PNG can hold the images; or `raw` arrays, larger and never decoded.
        per_shard: Pairs of a shard.
        unreadable: Whether a pair that can't be read is an error or left out.
        made_from: What the dataset is, for the index.
        report: Called with (what, done, total).

    Returns:
        The index, and what was left out.

    Raises:
        DataError: Pairs can't be read, all of them named; or `out` is there.
        StorageError: The shards can't be written.
    """
    if out.exists():
        raise DataError(Problem(str(out), "is there already", "name another folder, or remove this one"))
    names = list(dataset.spec.stored)
    if len({name.lower() for name in names}) < len(names):
        cause = f"a shard can't tell names apart that differ in their case alone: {', '.join(names)}"
        raise DataError(Problem(str(out), cause, "let the data set call its extras otherwise"))
    form = _ARRAYS if encoding == "raw" else _Format(".tar", _members, partial(_write_tar, _tar_writer()))
    problems: list[Problem] = []
    written: dict[str, tuple[Shard, ...]] = {}
    fingerprints: dict[str, str] = {}
    with atomic_folder(out) as unfinished:
        for split in splits:
            facts = hashlib.sha256(f"{dataset.spec}{dataset.spec.given or ''}".encode())
            samples = _samples(dataset, split, form, facts, problems, report)
            written[split] = tuple(_shards(samples, form, unfinished, out, split, per_shard))
            fingerprints[split] = facts.hexdigest()[:12]
        if unreadable == "stop" or not all(written.values()):
            raise_unreadable(problems)
        index = ShardIndex(dataset.spec, written, fingerprints, dict(made_from or {}))
        with writing(out):
            (unfinished / ShardIndex.FILE).write_text(index.text(), encoding="utf-8")
    return index, problems


def _samples(
    dataset: PairDataset,
    split: str,
    form: _Format,
    facts: hashlib._Hash,
    problems: list[Problem],
    report: Callable[[str, int, int], None],
) -> Iterator[Sample]:
    """Yield the pairs that can be read, and tell `facts` of them, whose hash they settle."""

    def act(pair: Pair) -> tuple[bytes, Sample]:
        held = pair.stored.values()
        digest = hashlib.sha256(" ".join([pair.name, *(str(each.shape) for each in held)]).encode())
        for each in held:
            digest.update(each.numpy().tobytes())
        return digest.digest(), (ShardIndex.key_of(pair.name), form.encode(pair))

    pairs = dataset.pairs(split)
    for done, outcome in enumerate(decode_in_threads(pairs, act, dataset.spec), 1):
        if isinstance(outcome, DataError):
            problems += outcome.problems
        else:
            facts.update(outcome[0])
            yield outcome[1]
        report(f"writing {split}", done, len(pairs))


def _shards(
    samples: Iterator[Sample], form: _Format, folder: Path, out: Path, split: str, per_shard: int
) -> Iterator[Shard]:
    for number in count():
        group = list(islice(samples, per_shard))
        if not group:
            return
        path = folder / f"{split}-{number:06d}{form.suffix}"
        with writing(out), path.open("wb") as file:
            form.write(file, group)
        yield Shard(path.name, len(group), path.stat().st_size)


def _arrays(pair: Pair) -> dict[str, NDArray[np.generic]]:
    return {name: held.numpy() for name, held in pair.stored.items()}


def _write_arrays(file: IO[bytes], group: Sequence[Sample]) -> None:
    """Write a header and a record for each pair, as `np.save` would all at once."""
    fields = _fields(group[0][1])
    kind = np.dtype([("key", f"S{max(len(key) for key, _ in group)}"), *fields], align=True)
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (len(group),)}
    np.lib.format.write_array_header_1_0(file, header)
    record = np.zeros(1, kind)
    for key, held in group:
        if _fields(held) != fields:
            cause = "has images of another form than the pairs before it"
            raise DataError(Problem(ShardIndex.name_of(key), cause, "write them with --encoding png"))
        record["key"] = key.encode()
        for name, values in held.items():
            record[name] = values
        file.write(record.tobytes())


def _fields(held: Mapping[str, NDArray[np.generic]]) -> list[tuple[str, np.dtype[np.generic], tuple[int, ...]]]:
    return [(name, values.dtype, values.shape) for name, values in held.items()]


_ARRAYS = _Format(".npy", _arrays, _write_arrays)


def _members(pair: Pair) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for name, held in pair.stored.items():
        if held.ndim < _IMAGE:
            members[f"{name}.npy"] = _array(held)
            continue
        compressed = png(held)
        members |= {f"{name}.png": compressed} if compressed else {f"{name}.{ShardIndex.RAW}": _array(held)}
    return members


def _array(held: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, held.contiguous().numpy(), allow_pickle=False)
    return buffer.getvalue()


def _write_tar(tar_writer: Untyped, file: IO[bytes], group: Sequence[Sample]) -> None:
    tar = tar_writer(file, encoder=False, mtime=0)
    try:
        for key, members in group:
            tar.write({"__key__": key, **members})
        tar.close()
    except OSError:
        tar.tarstream.fileobj.closed = True  # else it would write its rest to a closed file when it is collected
        raise


def _tar_writer() -> Untyped:
    try:
        from webdataset import TarWriter
    except ImportError as error:
        cause = f"shards need a package that is not installed: {error.name}"
        raise P2pkitError(Problem("", cause, "pip install 'p2pkit[webdataset]'")) from None
    return TarWriter
