"""Decode a split once, before training: what is damaged is found now and not in the last epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Literal, TypeVar

import torch

from p2pkit.engine.data.cache import _Store
from p2pkit.engine.data.pair_check import ScaleCheck, hold_against
from p2pkit.engine.data.pair_sources import Cached, PairSource, Uncached
from p2pkit.engine.data.steady import refuse_unsteady
from p2pkit.engine.data.streaming import StreamedPairs
from p2pkit.engine.data.workers import ALONE, Workers
from p2pkit.errors import DataError, Problem
from p2pkit.types import Pair, PairDataset, PairSpec, PairStream, optional
from p2pkit.untyped import Untyped

OnProgress = Callable[[str, int, int], None]
_MOST_NAMED = 20
_AHEAD = 64
_SAMPLE = 16
T = TypeVar("T")


def load_split(
    pairs: Sequence[Pair] | PairStream,
    *,
    images: PairSpec | None = None,
    cache: Literal["auto", "device", "memory", "disk", "off"] = "auto",
    unreadable: Literal["stop", "skip"] = "stop",
    workers: Workers = ALONE,
    what: str = "pairs",
    report: OnProgress | None = None,
    note: Callable[[Problem], None] = lambda problem: None,
) -> tuple[PairSource, list[Problem]]:
    """Decode all pairs once, so that a damaged file is found now and not in the last epoch; a stream is only looked at.

    Args:
        pairs: The pairs of a split.
        images: What the data set says they are, which each of them is held against; None where that is known.
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
        found = list(optional.problems(pairs)())
        if unreadable == "stop":
            raise_unreadable(found)
        return StreamedPairs(pairs, workers, unreadable, note, images), found
    if images is not None:
        refuse_unsteady(pairs)
    store = _Store(len(pairs), cache)
    names: list[str] = []
    kept: list[int] = []
    problems: list[Problem] = []
    scale = ScaleCheck(images)
    for index, outcome in enumerate(decode_in_threads(pairs, lambda pair: pair, images)):
        if isinstance(outcome, DataError):
            problems += outcome.problems
        else:
            scale.see(outcome)
            store.put(len(kept), outcome)
            names.append(outcome.name)
            kept.append(index)
        if report is not None:
            report(what, index + 1, len(pairs))
    if unreadable == "stop" or not kept:
        raise_unreadable(problems)
    if on_another_scale := scale.problems():
        raise DataError(on_another_scale)
    if store.source is None or store.target is None:
        return Uncached(names, pairs, kept, workers), problems
    return Cached(names, store.source[: len(kept)], store.target[: len(kept)]), problems


def read_sample(dataset: PairDataset, *, every_file: bool = False, report: OnProgress | None = None) -> list[Problem]:
    """Look for pairs that can't be read: at all that can be told without reading, and at a few pairs or at all of them.

    Args:
        dataset: The data.
        every_file: Whether all pairs are read, also those of a stream.
        report: Called with (what, done, total).

    Raises:
        DataError: Pairs change from one reading to the next.
    """
    problems: dict[str, Problem] = {}
    for split in dataset.splits:
        pairs = dataset.pairs(split)
        found = list(optional.problems(pairs)() if isinstance(pairs, PairStream) else optional.faults(dataset)(split))
        step = 1 if every_file else max(1, len(pairs) // _SAMPLE)
        read: Sequence[Pair] | PairStream = pairs
        if isinstance(pairs, PairStream):
            read = pairs if every_file else ()
        else:
            refuse_unsteady(pairs)
            read = _Every(pairs, step) if step > 1 else pairs
        for done, outcome in enumerate(decode_in_threads(read, lambda pair: None, dataset.spec), 1):
            found += outcome.problems if isinstance(outcome, DataError) else ()
            if report is not None:
                report(f"reading {split}", done, len(read))
        problems |= {problem.path: problem for problem in found if problem.path not in problems}
    return list(problems.values())


class _Every(Sequence[Pair]):
    """Every so manieth pair of a sequence."""

    def __init__(self, pairs: Sequence[Pair], step: int) -> None:
        self.pairs, self.places = pairs, range(0, len(pairs), step)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Untyped) -> Untyped:
        return self.pairs[self.places[index]]


def raise_unreadable(problems: Sequence[Problem]) -> None:
    """Raise a `DataError` that names what can't be read, if there is anything."""
    if problems:
        hint = Problem("dataset.unreadable", f"{len(problems)} files can't be read", "mend them, or write skip here")
        raise DataError([*problems[:_MOST_NAMED], hint])


def decode_in_threads(
    pairs: Sequence[Pair] | PairStream, act: Callable[[Pair], T], images: PairSpec | None = None
) -> Iterator[T | DataError]:
    """Decode and act in threads, a bounded number ahead, so that a large data set never lies in the queue."""

    def outcome(decode: Callable[[], Pair]) -> T | DataError:
        try:
            return act(hold_against(images, decode))
        except DataError as error:
            return error

    if isinstance(pairs, PairStream):
        decoders = pairs.decoders()
    else:
        decoders = (partial(pairs.__getitem__, index) for index in range(len(pairs)))
    with ThreadPoolExecutor(min(8, torch.get_num_threads() + 2)) as pool:
        while group := list(islice(decoders, _AHEAD)):
            yield from pool.map(outcome, group)
