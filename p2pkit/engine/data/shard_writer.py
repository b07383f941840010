"""Write a data set as shards: whole on disk or not there."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from torch import Tensor

from p2pkit.engine.data.decode import decode_in_threads, raise_unreadable
from p2pkit.errors import DataError, P2pkitError, Problem
from p2pkit.images.files import png
from p2pkit.shards import Shard, ShardIndex
from p2pkit.types import Pair, PairDataset

Encoding = Literal["png", "raw"]
Sample = tuple[str, dict[str, bytes]]


def write_shards(
    dataset: PairDataset,
    out: Path,
    *,
    splits: Sequence[str],
    encoding: Encoding = "png",
    per_shard: int = 256,
    unreadable: Literal["stop", "skip"] = "stop",
    made_from: Mapping[str, Any] | None = None,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[ShardIndex, list[Problem]]:
    """Write pairs as they are stored, without loss.

    They are written to a folder beside `out`, which gets its name when all of them are there.

    Args:
        dataset: The pairs.
        out: A folder that is not there yet.
        splits: Which splits.
        encoding: `png` where PNG can hold the images, or `raw` arrays, which are larger and need no decoding.
        per_shard: Pairs of a shard.
        unreadable: Whether a pair that can't be read is an error or left out.
        made_from: What the dataset is, for the index.
        report: Called with (what, done, total).

    Returns:
        The index, and what was left out.

    Raises:
        DataError: Pairs can't be read, all of them named; or `out` is there.
    """
    if out.exists():
        raise DataError(Problem(str(out), "is there already", "name another folder, or remove this one"))
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    problems: list[Problem] = []
    written: dict[str, tuple[Shard, ...]] = {}
    fingerprints: dict[str, str] = {}
    try:
        for split in splits:
            facts = hashlib.sha256(repr(dataset.spec).encode())
            samples = _samples(dataset, split, encoding, problems, report)
            written[split] = tuple(_shards(samples, partial, split, per_shard, facts))
            fingerprints[split] = facts.hexdigest()[:12]
        if unreadable == "stop" or not all(written.values()):
            raise_unreadable(problems)
        index = ShardIndex(dataset.spec, written, fingerprints, dict(made_from or {}))
        with (partial / ShardIndex.FILE).open("w", encoding="utf-8") as file:
            file.write(index.text())
            _flush(file)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return index, problems


def _samples(
    dataset: PairDataset,
    split: str,
    encoding: Encoding,
    problems: list[Problem],
    report: Callable[[str, int, int], None],
) -> Iterator[Sample]:
    pairs = dataset.pairs(split)
    for done, outcome in enumerate(decode_in_threads(pairs, lambda pair: _encoded(pair, encoding)), 1):
        if isinstance(outcome, DataError):
            problems += outcome.problems
        else:
            yield outcome
        report(f"writing {split}", done, len(pairs))


def _encoded(pair: Pair, encoding: Encoding) -> Sample:
    members: dict[str, bytes] = {}
    for side, image in (("source", pair.source), ("target", pair.target)):
        compressed = png(image) if encoding == "png" else None
        members |= {f"{side}.png": compressed} if compressed else {f"{side}.{ShardIndex.RAW}": _array(image)}
    return pair.name, members


def _array(image: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, image.contiguous().numpy(), allow_pickle=False)
    return buffer.getvalue()


def _shards(samples: Iterator[Sample], folder: Path, split: str, per_shard: int, facts: Any) -> Iterator[Shard]:
    tar_writer = _tar_writer()
    number = 0
    while group := list(islice(samples, 1)):
        path = folder / f"{split}-{number:06d}.tar"
        count = 0
        with path.open("wb") as file:
            tar = tar_writer(file, encoder=False, mtime=0)
            for name, members in chain(group, islice(samples, per_shard - 1)):
                tar.write({"__key__": ShardIndex.key_of(name), **members})
                count += 1
                for member, data in sorted(members.items()):
                    facts.update(f"{name} {member} {len(data)} ".encode())
                    facts.update(data)
            tar.close()
            _flush(file)
        yield Shard(path.name, count, path.stat().st_size)
        number += 1


def _flush(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _tar_writer() -> Any:
    try:
        from webdataset import TarWriter
    except ImportError as error:
        cause = f"shards need a package that is not installed: {error.name}"
        raise P2pkitError(Problem("", cause, "pip install 'p2pkit[webdataset]'")) from None
    return TarWriter
