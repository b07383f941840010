"""Pairs read from files: lazy, safe in threads, picklable."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice
from typing import ClassVar, TypeVar, overload

import torch
from torch import Tensor

import p2pkit
from p2pkit import ImageSpec, Pair, PairSpec
from p2pkit.builtin.datasets.files import File, Part, some
from p2pkit.builtin.datasets.layouts import Item, Splits
from p2pkit.builtin.datasets.sides import Derivation, Intensity, Labels

T = TypeVar("T")
_TRIES = 16


class LazyPairs(Sequence[Pair]):
    """A sequence of pairs, each made when it is asked for."""

    @abstractmethod
    def pair(self, index: int) -> Pair:
        """Make one pair; `index` is within the length."""

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        """Return one pair, or a list of several."""
        if isinstance(index, slice):
            return [self.pair(i) for i in range(len(self))[index]]
        return self.pair(range(len(self))[index])


@dataclass(frozen=True)
class FilePairs(LazyPairs):
    """The pairs of one split.

    Args:
        items: The files of each pair.
        spec: What the images become.
        derive: What makes a source of a target, where it is no file of its own.
    """

    items: tuple[Item, ...]
    spec: PairSpec
    derive: Derivation | None = None

    def __len__(self) -> int:
        return len(self.items)

    def pair(self, index: int) -> Pair:
        """Read one pair.

        Raises:
            p2pkit.DataError: A file of it can't be read, or does not fit the spec.
        """
        item = self.items[index]
        read = cache(File.read)  # both halves of a file, one decoding
        target = _load(item.target, self.spec, self.spec.target, read)
        if self.derive is None:
            return Pair(_load(item.source, self.spec, self.spec.source, read), target, item.name)
        with _naming(item.target[0].file):
            return Pair(self.derive(target, self.spec.target), target, item.name)


@dataclass(frozen=True)
class FileDataset:
    """A data set of files; see `p2pkit.PairDataset`.

    Args:
        spec: What the images are.
        items: The pairs of each split.
        derive: Makes sources out of targets, where the items name none.
    """

    spec: PairSpec
    items: Splits
    derive: Derivation | None = None

    resampling: ClassVar[str] = "bicubic, antialiased"

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.items)

    def pairs(self, split: str) -> FilePairs:
        """Return the pairs of a split, sorted by name.

        Raises:
            p2pkit.DataError: There is no such split.
        """
        return FilePairs(known(self.items, split), self.spec, self.derive)

    def at(self, height: int, width: int) -> FileDataset:
        """Return the same data at another size."""
        return replace(self, spec=replace(self.spec, height=height, width=width))

    def fingerprint(self, split: str) -> str:
        """Return a text that changes with the files' names, sizes and times, and with the parameters."""
        facts = hashlib.sha256(f"{split} {self.spec} {self.derive}".encode())
        for item in known(self.items, split):
            parts = (f"{part.half} {part.file.name} {part.file.stamp()}" for part in (*item.source, *item.target))
            facts.update("\n".join((item.name, *parts)).encode())
        return facts.hexdigest()[:12]


def open_pairs(
    items: Splits,
    *,
    size: int | tuple[int, int] | None,
    source: Intensity | Labels | Derivation,
    target: Intensity | Labels,
    parameter: str = "root",
) -> FileDataset:
    """Settle what the images are by the first pair that can be read.

    Args:
        items: Where the pairs are.
        size: Side, or height and width; None for those of the first target.
        source: What the source should be, or how it is made.
        target: What the target should be.
        parameter: The parameter to blame where nothing can be read.

    Returns:
        The data set; nothing else has been read.

    Raises:
        p2pkit.ComponentError: None of the first pairs can be read, or they can't be what is wanted.
    """
    first_source, first_target = _first(items, isinstance(source, Labels), target.indexed, parameter)
    height, width = first_target.shape[1:] if size is None else (size, size) if isinstance(size, int) else size
    made_of = target.spec(first_target)
    if isinstance(source, Intensity | Labels):
        return FileDataset(PairSpec(source.spec(first_source), made_of, height, width), items)
    return FileDataset(PairSpec(source.spec(made_of), made_of, height, width), items, source)


def known(items: Mapping[str, T], split: str) -> T:
    """Return what belongs to a split, or raise `p2pkit.DataError`.

    Args:
        items: What belongs to each split.
        split: The split that is asked for.
    """
    if split in items:
        return items[split]
    raise p2pkit.DataError(p2pkit.Problem("", f"the data has no split {split!r}", f"it has {', '.join(items)}"))


def _first(items: Splits, source_indexed: bool, target_indexed: bool, parameter: str) -> tuple[Tensor, Tensor]:
    causes = []
    for item in islice(chain.from_iterable(items.values()), _TRIES):
        try:
            target = _corner(item.target, target_indexed)
            return (_corner(item.source, source_indexed) if item.source else target), target
        except p2pkit.DataError as error:
            causes.append(str(error.problems[0].path) + " " + error.problems[0].cause)
    cause = f"none of the first {len(causes)} images can be used: {some(causes, 3)}"
    raise p2pkit.ComponentError(cause, remedy="mend these files", parameter=parameter)


def _corner(parts: Sequence[Part], indexed: bool) -> Tensor:
    """Read images only to know their type and shape, the channels of several summed."""
    images = []
    for part in parts:
        with _naming(part.file):
            images.append(part.cut(part.file.read(indexed=indexed)))
    first = images[0]
    return first if len(images) == 1 else first[:1].expand(sum(image.shape[0] for image in images), -1, -1)


def _load(parts: Sequence[Part], images: PairSpec, spec: ImageSpec, read: Callable[..., Tensor]) -> Tensor:
    labels = spec.kind == "labels"
    loaded = []
    for part in parts:
        with _naming(part.file):
            image = part.cut(read(part.file, indexed=labels))
            own = spec if len(parts) == 1 else replace(spec, channels=image.shape[0])
            image = p2pkit.resize(p2pkit.conform(image, own), images.height, images.width, nearest=labels)
            loaded.append(image)
    if len(loaded) == 1:
        return loaded[0]
    with _naming(parts[0].file):
        channels = sum(image.shape[0] for image in loaded)
        if channels != spec.channels:
            raise OSError(f"makes {channels} channels with its companions, where {spec.channels} are wanted")
    return torch.cat(loaded)


@contextmanager
def _naming(file: File) -> Iterator[None]:
    """Turn a failure into the error for users that names the file."""
    try:
        yield
    except OSError as error:
        cause = error.strerror or str(error)
        remedy = "mend or remove the file, or leave such files out with `unreadable: skip`"
        raise p2pkit.DataError(p2pkit.Problem(str(file), cause, remedy)) from None
