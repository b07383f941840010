"""Batches from a stream of pairs: read by several processes, in an order that a seed settles, from any position on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from p2pkit.engine.data.pair_check import hold_against
from p2pkit.engine.data.pair_sources import BatchOrder, Images, collate, make_dataloader
from p2pkit.engine.data.prefetch import prefetch
from p2pkit.engine.data.workers import ALONE, Places, Workers, read_by_workers
from p2pkit.errors import DataError, Problem
from p2pkit.types import Pair, PairSpec, PairStream, optional

_DEPTH = 2
"""Batches that are read ahead, by each process."""


@dataclass(frozen=True)
class StreamedPairs:
    """Pairs that are read one after another each time.

    The order depends on `workers`, since each process reads a part of its own.

    Args:
        stream: The pairs.
        workers: Processes that read and decode; 0 for this one, in a thread where the stream is not resident.
        unreadable: Whether a pair that can't be read ends the run, or another one of its part comes in its place.
        note: Hears of each pair that is left out.
        images: What the pairs are said to be, which each is held against.
    """

    stream: PairStream
    workers: Workers = ALONE
    unreadable: Literal["stop", "skip"] = "stop"
    note: Callable[[Problem], None] = lambda problem: None
    images: PairSpec | None = None

    def __len__(self) -> int:
        return len(self.stream)

    def epoch(self, order: BatchOrder) -> Iterator[Images]:
        """Yield (source, target, extras) of each batch, as stored; in the stored order one process reads."""
        lanes = max(1, self.workers.count) if order.seed is not None else 1
        reading = _Reading(self.stream, self.images, order, lanes, skips=self.unreadable == "skip")
        for images, problems in self._read(reading, replace(self.workers, count=min(self.workers.count, lanes))):
            if images is None:
                raise DataError(problems)
            for problem in problems:
                self.note(problem)
            yield images

    def _read(self, reading: _Reading, workers: Workers) -> Iterator[_Read]:
        if not workers.count:
            return iter(reading) if optional.resident(self.stream) else prefetch(iter(reading), _DEPTH)

        def make(done: int, places: Places) -> DataLoader[_Read]:
            order = replace(reading.order, skip=reading.order.skip + done)
            rest = _Reading(self.stream, self.images, order, reading.lanes, skips=reading.skips, places=places)
            return make_dataloader(rest, batch_size=None, num_workers=workers.count, collate_fn=_as_it_is)

        def name(number: int) -> str:
            return f"batch {number} of the stream"

        return read_by_workers(make, workers, name=name, name_batch=lambda done: name(reading.order.skip + done))

    def samples(self, count: int) -> Iterator[tuple[str, Images]]:
        """Yield the first pairs: to see others, all before them would have to be read."""
        reading = _Reading(self.stream, self.images, BatchOrder(batch=1), lanes=1, skips=self.unreadable == "skip")
        for pair in islice(reading.pairs(0, 1, 0, []), count):
            yield pair.name, collate([pair])


_Read = tuple[Images | None, Sequence[Problem]]
"""A batch and what was left out for it; without a batch, why there is none."""


class _Reading(IterableDataset[_Read]):
    """What one process reads: a lane, whose batches come in turn with those of the other lanes.

    Args:
        stream: The pairs.
        images: What they are said to be.
        order: Which batches.
        lanes: How many processes read.
        skips: Whether pairs that can't be read are left out.
        places: Where it notes which batch it is reading.
    """

    def __init__(
        self,
        stream: PairStream,
        images: PairSpec | None,
        order: BatchOrder,
        lanes: int,
        *,
        skips: bool,
        places: Places | None = None,
    ) -> None:
        self.stream = stream
        self.images = images
        self.order = order
        self.lanes = lanes
        self.skips = skips
        self.places = places or Places(0)

    def __iter__(self) -> Iterator[_Read]:
        order, info = self.order, get_worker_info()
        lane = (order.skip + (info.id if info else 0)) % self.lanes  # the first process gives the first batch
        done = len(range(lane, order.skip, self.lanes))
        wanted = len(range(lane, order.length(len(self.stream)), self.lanes)) - done
        problems: list[Problem] = []
        part, parts = order.part * self.lanes + lane, order.parts * self.lanes
        pairs = self.pairs(part, parts, done * order.batch, problems)
        try:
            for number in range(done, done + wanted):
                with self.places.reading(lane + number * self.lanes):
                    group = list(islice(pairs, order.batch))
                if group:
                    yield collate(group), tuple(problems)
                    problems.clear()
        except DataError as error:
            yield None, error.problems

    def pairs(self, part: int, parts: int, start: int, problems: list[Problem]) -> Iterator[Pair]:
        """Yield a part's pairs from a position on; in a random order without end, so that none left out is missed.

        Where pairs are left out, a position is found by counting those that are not.
        """
        if self.skips:
            yield from islice(self._passes(part, parts, 0, problems), start, None)
        else:
            yield from self._passes(part, parts, start, problems)

    def _passes(self, part: int, parts: int, start: int, problems: list[Problem]) -> Iterator[Pair]:
        while True:
            found = False
            for decode in self.stream.decoders(part=part, parts=parts, seed=self.order.seed, start=start):
                try:
                    pair = hold_against(self.images, decode)
                except DataError as error:
                    if not self.skips:
                        raise
                    problems += error.problems
                    continue
                found = True
                yield pair
            if self.order.seed is None:
                return
            if not found and not start:
                raise DataError(problems or Problem("", "the stream has ended without a pair"))
            start = 0


def _as_it_is(read: _Read) -> _Read:
    return read
