"""From a data set to batches on the device: decode once, keep as stored, convert and augment where the networks are."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any, Literal, TypeVar

import numpy as np
import psutil
import torch
from torch import Tensor

from p2pkit.engine.precision import Place
from p2pkit.engine.processes import processes
from p2pkit.engine.stored import Cached, Images, Order, Stored, Uncached
from p2pkit.engine.streams import Streamed
from p2pkit.errors import DataError, Problem
from p2pkit.images import to_network
from p2pkit.types import Pair, PairSpec, PairStream

Report = Callable[[str, int, int], None]
_SHARE_OF_MEMORY = 0.25
_MOST_NAMED = 20
_AHEAD = 64
T = TypeVar("T")


def prepare(
    pairs: Sequence[Pair] | PairStream,
    *,
    cache: Literal["auto", "memory", "disk", "off"] = "auto",
    unreadable: Literal["stop", "skip"] = "stop",
    workers: int = 0,
    what: str = "pairs",
    report: Report | None = None,
    note: Callable[[Problem], None] = lambda problem: None,
) -> tuple[Stored, list[Problem]]:
    """Decode all pairs once, so that a damaged file is found now and not in the last epoch; a stream is only looked at.

    Args:
        pairs: The pairs of a split.
        cache: Where decoded pairs are kept.
        unreadable: Whether a file that can't be read is an error or left out.
        workers: Processes that decode when nothing is kept.
        what: What is being read, for the progress report.
        report: Called with (what, done, total).
        note: Hears later what of a stream is left out.

    Returns:
        The pairs, and what was left out.

    Raises:
        DataError: Files can't be read, all of them named; or nothing is left.
    """
    if isinstance(pairs, PairStream):
        found = list(getattr(pairs, "problems", list)())
        if unreadable == "stop":
            refuse(found)
        return Streamed(pairs, workers, unreadable, note), found
    store = _Store(len(pairs), cache)
    names: list[str] = []
    kept: list[int] = []
    problems: list[Problem] = []
    for index, outcome in enumerate(in_order(pairs, lambda pair: pair)):
        if isinstance(outcome, DataError):
            problems += outcome.problems
        else:
            store.put(len(kept), outcome)
            names.append(outcome.name)
            kept.append(index)
        if report is not None:
            report(what, index + 1, len(pairs))
    if unreadable == "stop" or not kept:
        refuse(problems)
    if store.source is None or store.target is None:
        return Uncached(names, pairs, kept, workers), problems
    return Cached(names, store.source[: len(kept)], store.target[: len(kept)]), problems


def refuse(problems: Sequence[Problem]) -> None:
    """Raise a `DataError` that names what can't be read, if there is anything."""
    if problems:
        hint = Problem("dataset.unreadable", f"{len(problems)} files can't be read", "mend them, or write skip here")
        raise DataError([*problems[:_MOST_NAMED], hint])


def in_order(pairs: Sequence[Pair] | PairStream, act: Callable[[Pair], T]) -> Iterator[T | DataError]:
    """Decode and act in threads, a bounded number ahead, so that a large data set never lies in the queue."""

    def outcome(decode: Callable[[], Pair]) -> T | DataError:
        try:
            return act(decode())
        except DataError as error:
            return error

    if isinstance(pairs, PairStream):
        decoders = pairs.decoders()
    else:
        decoders = (partial(pairs.__getitem__, index) for index in range(len(pairs)))
    with ThreadPoolExecutor(min(8, torch.get_num_threads() + 2)) as pool:
        while group := list(islice(decoders, _AHEAD)):
            yield from pool.map(outcome, group)


class _Store:
    """Memory or a mapped file for decoded pairs, sized by the first one."""

    def __init__(self, count: int, cache: str) -> None:
        self.count = count
        self.cache = cache
        self.source: Tensor | None = None
        self.target: Tensor | None = None

    def put(self, position: int, pair: Pair) -> None:
        if self.cache == "off":
            return
        if self.source is None or self.target is None:
            size = self.count * (pair.source.nbytes + pair.target.nbytes)
            fits = size <= psutil.virtual_memory().available * _SHARE_OF_MEMORY / processes().local_count
            memory = self.cache == "memory" or (self.cache == "auto" and fits)
            self.source, self.target = (_empty(self.count, image, memory) for image in (pair.source, pair.target))
        self.source[position] = pair.source
        self.target[position] = pair.target


def _empty(count: int, like: Tensor, memory: bool) -> Tensor:
    shape = (count, *like.shape)
    if memory:
        return torch.empty(shape, dtype=like.dtype)
    kind = like.numpy().dtype
    file = tempfile.NamedTemporaryFile(prefix="p2pkit-cache-")  # noqa: SIM115  lives as long as the map
    return torch.from_numpy(np.memmap(file, dtype=kind, mode="w+", shape=shape))


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as networks see it, and the seconds that the host waited for it."""

    source: Tensor
    target: Tensor
    waited: float


class Loader:
    """Batches of a split on the device.

    Args:
        stored: The pairs.
        images: What they are.
        batch: Pairs of a batch.
        place: Where to, and the layout in memory.
        augmentations: Changes, in order.
        seed: Seed of the order.
        shuffle: Whether each epoch has an order of its own; then what does not fill a batch is left out.
        part: Which part of the split, where several processes share it.
        parts: How many parts there are.
    """

    def __init__(
        self,
        stored: Stored,
        images: PairSpec,
        *,
        batch: int,
        place: Place,
        augmentations: Sequence[Any] = (),
        seed: int = 0,
        shuffle: bool = False,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        self.stored = stored
        self.images = images
        self.batch = batch
        self.place = place
        self.augmentations = augmentations
        self.seed = seed
        self.shuffle = shuffle
        self.part = part
        self.parts = parts

    def __len__(self) -> int:
        return self._order().length(len(self.stored))

    def _order(self, number: int = 0, skip: int = 0) -> Order:
        seed = self.seed * 1_000_003 + number if self.shuffle else None
        return Order(self.batch, seed, skip, self.part, self.parts)

    def epoch(self, number: int = 0, skip: int = 0) -> Iterator[Batch]:
        """Yield an epoch's batches.

        Args:
            number: Number of the epoch, which settles the order.
            skip: Batches at the beginning that are left out, to go on after an interruption.
        """
        begun = time.perf_counter()
        for stored in self._ahead(self.stored.epoch(self._order(number, skip))):
            images = self._seen(stored)
            for augmentation in self.augmentations:
                images = augmentation(*images)
            source, target = (image.contiguous(memory_format=self.place.memory_format) for image in images)
            yield Batch(source, target, time.perf_counter() - begun)
            begun = time.perf_counter()

    def samples(self, count: int) -> Iterator[tuple[str, Images]]:
        """Yield a few pairs with their names as networks see them, each as a batch of one, always the same ones."""
        return ((name, self._seen(self._moved(images))) for name, images in self.stored.samples(count))

    def _ahead(self, stored: Iterator[Images]) -> Iterator[Images]:
        """Bring batches to the device; to a GPU each on a stream of its own while the one before it is worked on."""
        if self.place.device.type != "cuda":
            yield from map(self._moved, stored)
            return
        stream = self._stream
        before: tuple[Images, torch.cuda.Event] | None = None
        for images in stored:
            with torch.cuda.stream(stream):
                copied = self._moved(images), stream.record_event()
            if before is not None:
                yield _handed_over(*before)
            before = copied
        if before is not None:
            yield _handed_over(*before)

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        """The stream of all epochs' copies: memory that is freed is kept for the stream that it was made on."""
        return torch.cuda.Stream(self.place.device)  # type: ignore[no-untyped-call]  # torch's

    def _moved(self, images: Images) -> Images:
        device = self.place.device
        cuda = device.type == "cuda"  # elsewhere a copy that nobody waits for may be read before it is there
        source, target = (image.pin_memory() if cuda else image for image in images)
        return source.to(device, non_blocking=cuda), target.to(device, non_blocking=cuda)

    def _seen(self, images: Images) -> Images:
        return to_network(images[0], self.images.source), to_network(images[1], self.images.target)


def _handed_over(images: Images, copied: torch.cuda.Event) -> Images:
    """Make the present stream wait for a copy, and keep its memory while the stream uses it."""
    stream = torch.cuda.current_stream()
    stream.wait_event(copied)
    for image in images:
        image.record_stream(stream)
    return images
