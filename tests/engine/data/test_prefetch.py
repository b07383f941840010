"""Work ahead of who needs it: in order, and never far ahead."""

from __future__ import annotations

import threading
import time

import pytest

from p2pkit.engine.data.prefetch import map_in_threads, prefetch


def counted(seen, stop=None):
    for number in range(100):
        if number == stop:
            raise ValueError("no more")
        seen.append(number)
        yield number


def settled(seen, length):
    """Wait until that many are begun, and see that no more follow."""
    deadline = time.monotonic() + 10
    while len(seen) < length and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    return len(seen)


@pytest.mark.parametrize("depth", [1, 3, 200])
def test_all_items_come_in_order(depth):
    assert list(prefetch(counted([]), depth)) == list(range(100))


def test_none_is_an_item_and_an_empty_iterator_has_none():
    assert list(prefetch(iter([1, None, 2]), 2)) == [1, None, 2]
    assert list(prefetch(iter([]), 2)) == []


def test_no_more_is_taken_than_was_asked_for():
    seen = []
    coming = prefetch(counted(seen), 3)
    assert next(coming) == 0
    assert settled(seen, 4) == 4
    coming.close()


def test_an_error_comes_where_its_item_would():
    coming = prefetch(counted([], stop=2), 1)
    assert [next(coming), next(coming)] == [0, 1]
    with pytest.raises(ValueError, match="no more"):
        next(coming)


def test_one_thread_advances_the_iterator():
    def names():
        while True:
            yield threading.current_thread().name

    coming = prefetch(names(), 4)
    found = {next(coming) for _ in range(20)}
    coming.close()
    assert len(found) == 1
    assert threading.current_thread().name not in found


def test_items_are_mapped_in_order_by_several_threads():
    met = threading.Barrier(2, timeout=10)

    def act(number):
        met.wait()  # two at a time, or never
        time.sleep(0.002 * (number % 3))
        return number * 10

    assert list(map_in_threads(act, range(20), threads=2, depth=4)) == list(range(0, 200, 10))


def test_mapping_stays_a_few_items_ahead():
    taken = []
    coming = map_in_threads(lambda number: number, counted(taken), threads=2, depth=5)
    assert next(coming) == 0
    assert settled(taken, 6) == 6
    coming.close()


def test_an_error_of_the_function_is_the_callers():
    coming = map_in_threads(lambda number: 1 / (number - 1), range(3), threads=1, depth=2)
    assert next(coming) == -1
    with pytest.raises(ZeroDivisionError):
        next(coming)
