"""Work in threads, a bounded number of items ahead of who needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")


def prefetch(items: Iterator[T], depth: int) -> Iterator[T]:
    """Yield from an iterator that one thread advances."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(next, items, end) for _ in range(depth))
        while (item := coming.popleft().result()) is not end:
            coming.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]  # what is not the end is of the iterator


def map_in_threads(act: Callable[[S], T], items: Iterable[S], *, threads: int, depth: int) -> Iterator[T]:
    """Yield what a function makes of each item, in their order; several threads call it.

    Args:
        act: What is made of an item; it may be called from several threads at once.
        items: They are asked for as they are needed.
        threads: How many call it.
        depth: How many items may be under way or wait to be yielded; this bounds the memory.
    """
    coming: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            coming.append(pool.submit(act, item))
            if len(coming) > depth:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
