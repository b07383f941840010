"""Data sets of shards: those of `p2pkit data shard`, and those that others have made."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

import p2pkit
from p2pkit import PairSpec, Shard, ShardIndex
from p2pkit.builtin.datasets.arrays import count_records, holds_arrays
from p2pkit.builtin.datasets.ranges import Found
from p2pkit.builtin.datasets.shards import ShardDataset, ShardStream, decoded, entries, member, samples_of
from p2pkit.builtin.datasets.sides import (
    FloatRange,
    Intensity,
    Size,
    SourceChannels,
    SourceRange,
    TargetChannels,
    TargetRange,
)

_MOST_SHARDS = 10**6
_GROUP = re.compile(r"\{([^{}]*)\}")
_NUMBERS = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.-?\d+)?")
_LETTERS = 64
"""No fewer than there are from any letter to any other."""


def _place(written: str) -> str:
    """Make a path absolute, so that a run can be resumed from another folder; a URL is one."""
    return written if "://" in written else str(Path(written).expanduser().absolute())


Location = Annotated[str, AfterValidator(_place)]
Counts = int | tuple[int, ...]


def webdataset(
    *,
    root: Annotated[Location | None, Field(description="Folder or URL that holds shards.json and its shards.")] = None,
    shards: Annotated[
        dict[str, Location] | None,
        Field(description="Without an index: the shards of each split, as `DIR/train-{000..099}.tar`."),
    ] = None,
    pairs: Annotated[
        dict[str, Counts] | None,
        Field(description="Without an index: pairs in each shard of a split, as one number or as a list."),
    ] = None,
    source: Annotated[str, Field(description="The source's name in a sample, as `source` or `input.jpg`.")] = "source",
    target: Annotated[str, Field(description="The target's name in a sample.")] = "target",
    size: Size = None,
    source_channels: SourceChannels = None,
    target_channels: TargetChannels = None,
    source_range: SourceRange = None,
    target_range: TargetRange = None,
    float_range: FloatRange = (0.0, 1.0),
    buffer: Annotated[
        int, Field(ge=1, le=1_000_000, description="Pairs that are mixed in memory, beside the order of the shards.")
    ] = 256,
) -> ShardDataset:
    """Pairs in shards on local disks, http or object stores, read one after another and never all in memory.

    Shards are shuffled by the run's seed, and the pairs again in a buffer. An index, shards.json, says what the images
    are. Without one, the first pair does; local shards are counted, and of others `pairs` says how many they hold.

    Raises:
        p2pkit.ComponentError: The index or the first pair can't be read, or nobody says how many pairs there are.
    """
    _check_packages()
    if (root is None) == (shards is None):
        raise p2pkit.ComponentError("give either root, for shards with an index, or shards", parameter="root")
    if root is not None:
        index = _index(root)
        found = {k: tuple(replace(s, file=f"{root}/{s.file}") for s in v) for k, v in index.splits.items()}
        spec, fingerprints = index.spec, dict(index.fingerprints)
        height, width = (spec.height, spec.width) if size is None else (size, size) if isinstance(size, int) else size
        spec = replace(spec, height=height, width=width)
    else:
        found, fingerprints = _listed(shards or {}, pairs or {}), {}
        sides = (
            Intensity("source", source_channels, source_range, float_range),
            Intensity("target", target_channels, target_range, float_range),
        )
        spec = _first(found, (source, target), sides, size)
    streams = {split: ShardStream(listed, spec, source, target, buffer) for split, listed in found.items()}
    return ShardDataset(spec, streams, fingerprints)


def _check_packages() -> None:
    try:
        import fsspec  # noqa: F401  whether it is installed
        import webdataset  # noqa: F401  as above
    except ImportError as error:
        cause = f"it needs a package that is not installed: {error.name}"
        raise p2pkit.ComponentError(cause, remedy="pip install 'p2pkit[webdataset]'") from None


def _index(root: str) -> ShardIndex:
    import fsspec

    place = f"{root}/{ShardIndex.FILE}"
    try:
        with fsspec.open(place, "rb") as file:
            return ShardIndex.parse(file.read())
    except ValueError as error:
        cause = f"{place} is no index of shards: {p2pkit.first_line(error)}"
    except Exception as error:  # stores raise what they like
        cause = f"{place} can't be read: {getattr(error, 'strerror', None) or p2pkit.first_line(error, typed=True)}"
    remedy = "`p2pkit data shard` writes it; for shards without one give `shards` instead of `root`"
    raise p2pkit.ComponentError(cause, remedy=remedy, parameter="root")


def _listed(shards: Mapping[str, str], pairs: Mapping[str, Counts]) -> dict[str, tuple[Shard, ...]]:
    from webdataset.shardlists import expand_urls

    found: dict[str, tuple[Shard, ...]] = {}
    for split, pattern in shards.items():
        if not _choices(pattern) <= _MOST_SHARDS:
            cause = f"the pattern of {split} stands for more than {_MOST_SHARDS} shards"
            raise p2pkit.ComponentError(cause, remedy="write the numbers of those that are there", parameter="shards")
        files = list(expand_urls(pattern))
        stated = pairs.get(split)
        counts = (stated,) * len(files) if isinstance(stated, int) else stated or [_count(file) for file in files]
        if len(counts) != len(files):
            cause = f"{split} has {len(files)} shards, and {len(counts)} numbers of pairs"
            raise p2pkit.ComponentError(cause, remedy="give a number for each shard", parameter="pairs")
        found[split] = tuple(Shard(file, count) for file, count in zip(files, counts, strict=True))
    if not found:
        raise p2pkit.ComponentError("names no split", remedy="name at least train", parameter="shards")
    return found


def _choices(pattern: str) -> float:
    """Return how many names a pattern stands for at most, before anybody writes them down."""
    total = 1.0
    while (group := _GROUP.search(pattern)) is not None:
        numbers = _NUMBERS.fullmatch(group[1])
        span = abs(float(numbers[2]) - float(numbers[1])) + 1 if numbers else group[1].count(",") + 1
        total *= span if numbers or ".." not in group[1] else _LETTERS
        pattern = pattern[: group.start()] + pattern[group.end() :]
    return total


def _count(file: str) -> int:
    """Count the pairs of a local shard by its header, or a tar file's headers."""
    if "://" in file:
        remedy = "say how many pairs each shard holds, for instance `pairs: {train: 1000}`"
        raise p2pkit.ComponentError(f"{file} is too far away to be counted", remedy=remedy, parameter="pairs")
    try:
        if holds_arrays(file):
            return count_records(file)
        with tarfile.open(file) as tar:
            names = [entry.name for entry in entries(tar)]
    except (OSError, ValueError, tarfile.TarError) as error:
        cause = f"{file} can't be read: {getattr(error, 'strerror', None) or error}"
        raise p2pkit.ComponentError(cause, parameter="shards") from None
    return len({f"{folder}/{name.partition('.')[0]}" for folder, _, name in (path.rpartition("/") for path in names)})


def _first(
    found: Mapping[str, tuple[Shard, ...]],
    names: tuple[str, str],
    sides: tuple[Intensity, Intensity],
    size: int | tuple[int, int] | None,
) -> PairSpec:
    """Settle what the images are by the first pair."""
    file = next(iter(found.values()))[0].file
    try:
        sample = next(samples_of(file), None)
        if sample is None:
            raise OSError("holds no pair")
        source, target = (decoded(*member(sample, name)) for name in names)
    except OSError as error:
        raise p2pkit.ComponentError(f"{file}: the first pair {error}", parameter="shards") from None
    height, width = target.shape[1:] if size is None else (size, size) if isinstance(size, int) else size
    made_from, made_of = sides[0].spec([Found(file, source)])[0], sides[1].spec([Found(file, target)])[0]
    return PairSpec(made_from, made_of, height, width)
