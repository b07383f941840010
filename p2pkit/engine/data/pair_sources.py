"""Decoded pairs as batches, and which of them an epoch wants."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from p2pkit.engine.data.workers import ALONE, Places, Workers, ignore_interrupts, read_by_workers
from p2pkit.types import Pair
from p2pkit.untyped import Untyped

T = TypeVar("T")

Images = tuple[Tensor, ...]
"""A batch: sources, targets, and what else pairs hold, in the order of `Pair.stored`."""


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """Which batches of a split, and in what order.

    Args:
        batch: Pairs of a batch.
        seed: Settles a random order, in which what does not fill a batch is left out; None for the stored order.
        skip: Batches at the beginning that are left out, to go on after an interruption.
        part: Which part of the split, where several processes share it.
        parts: How many parts there are.
    """

    batch: int
    seed: int | None = None
    skip: int = 0
    part: int = 0
    parts: int = 1

    def length(self, count: int) -> int:
        """Return the number of batches of a split of `count` pairs, before any is left out."""
        if self.seed is None:
            return math.ceil(len(range(self.part, count, self.parts)) / self.batch)
        return count // (self.batch * self.parts)


class PairSource(Protocol):
    """Stored pairs that can be fetched as batches."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        ...

    def epoch(self, order: BatchOrder) -> Iterator[Images]:
        """Yield (source, target, extras) of each batch, as stored."""
        ...

    def samples(self, count: int) -> Iterator[tuple[str, Images]]:
        """Yield a few pairs with their names, each as a batch of one, always the same ones."""
        ...


class Indexed(ABC):
    """Pairs that can be fetched in any order."""

    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def batches(self, indices: Sequence[Sequence[int]]) -> Iterator[Images]:
        """Yield (source, target, extras) of each group of indices, as stored."""

    def epoch(self, order: BatchOrder) -> Iterator[Images]:
        """Yield (source, target, extras) of each batch, as stored; the processes of a run take turns in one order."""
        indices = torch.arange(len(self))
        if order.seed is None:
            groups = torch.split(indices[order.part :: order.parts], order.batch)
        else:
            indices = torch.randperm(len(self), generator=torch.Generator().manual_seed(order.seed))
            groups = torch.split(indices, order.batch)[order.part :: order.parts][: order.length(len(self))]
        return self.batches([group.tolist() for group in groups[order.skip :] if len(group)])

    def samples(self, count: int) -> Iterator[tuple[str, Images]]:
        """Yield pairs spread evenly over the split."""
        count = min(count, len(self))
        chosen = [round(i * (len(self) - 1) / max(count - 1, 1)) for i in range(count)]
        return zip((self.names[i] for i in chosen), self.batches([[i] for i in chosen]), strict=True)


@dataclass(frozen=True)
class Cached(Indexed):
    """Decoded pairs in memory, in a file that is mapped into it, or on a device."""

    names: Sequence[str]
    source: Tensor
    target: Tensor
    extras: tuple[Tensor, ...] = ()

    @property
    def stored(self) -> Images:
        """All that the pairs hold."""
        return self.source, self.target, *self.extras

    def batches(self, indices: Sequence[Sequence[int]]) -> Iterator[Images]:
        """Yield (source, target, extras) of each group of indices, as stored."""
        every = torch.tensor([index for group in indices for index in group], dtype=torch.int64)
        if self.source.is_cuda:  # a whole epoch's by one transfer, which nobody waits for
            every = every.pin_memory().to(self.source.device, non_blocking=True)
        for chosen in torch.split(every, [len(group) for group in indices]):
            yield tuple(held.index_select(0, chosen) for held in self.stored)

    @property
    def nbytes(self) -> int:
        """Bytes of all pairs."""
        return sum(held.nbytes for held in self.stored)

    def to(self, device: torch.device) -> Cached:
        """Return the pairs on a device."""
        source, target, *extras = (held.to(device) for held in self.stored)
        return replace(self, source=source, target=target, extras=tuple(extras))


@dataclass(frozen=True)
class Uncached(Indexed):
    """Pairs that are decoded anew each time, by worker processes."""

    names: Sequence[str]
    pairs: Sequence[Pair]
    kept: Sequence[int]
    workers: Workers = ALONE

    def batches(self, indices: Sequence[Sequence[int]]) -> Iterator[Images]:
        """Yield (source, target, extras) of each group of indices, as stored."""
        return read_pairs(self.pairs, self, indices, self.workers)


class _Chosen(Protocol):
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def kept(self) -> Sequence[int]: ...


class _Readable(Protocol):
    def __getitem__(self, index: int, /) -> Pair: ...


def read_pairs(
    pairs: _Readable, chosen: _Chosen, indices: Sequence[Sequence[int]], workers: Workers
) -> Iterator[Images]:
    """Yield batches whose pairs are read when they are wanted.

    Args:
        pairs: All pairs, which go to the processes.
        chosen: Which of them are used, and their names.
        indices: Those of each batch, among the chosen ones.
        workers: The processes.
    """
    groups = [[chosen.kept[i] for i in group] for group in indices]

    def make(done: int, places: Places) -> DataLoader[Images]:
        own = {"batch_sampler": groups[done:], "num_workers": workers.count, "collate_fn": collate}
        return make_dataloader(_Pairs(pairs, places), **own)

    def name(index: int) -> str:
        return chosen.names[chosen.kept.index(index)]

    return read_by_workers(make, workers, name=name, name_batch=lambda done: " or ".join(map(name, groups[done])))


class _Pairs(Dataset[Pair]):
    def __init__(self, pairs: _Readable, places: Places) -> None:
        self.pairs, self.places = pairs, places

    def __getitem__(self, index: int) -> Pair:
        with self.places.reading(index):
            return self.pairs[index]


def make_dataloader(dataset: Dataset[T], **options: Untyped) -> DataLoader[Untyped]:
    """Return a torch loader that takes nothing from the run's random numbers: a resumed run would come by others."""
    return DataLoader(dataset, generator=torch.Generator(), worker_init_fn=ignore_interrupts, **options)


def collate(pairs: Sequence[Pair]) -> Images:
    """Make a batch of pairs."""
    return tuple(map(torch.stack, zip(*(pair.stored.values() for pair in pairs), strict=True)))
