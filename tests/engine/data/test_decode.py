"""A split is decoded once: what can't be read is found then, all of it."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from p2pkit import DataError, Problem
from p2pkit.engine.data.decode import decode_in_threads, load_split, raise_unreadable
from p2pkit.engine.data.pair_sources import BatchOrder, Cached, Uncached


def test_unreadable_files_stop_the_run_and_are_all_named(numbers):
    with pytest.raises(DataError) as caught:
        load_split(numbers(10, broken=(2, 7)))
    text = str(caught.value)
    assert "2.png: is damaged" in text
    assert "7.png: is damaged" in text
    assert "dataset.unreadable: 2 files can't be read" in text
    assert "write skip here" in text


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_unreadable_files_can_be_left_out(numbers, cache):
    stored, left_out = load_split(numbers(6, broken=(2, 3)), unreadable="skip", cache=cache)
    assert list(stored.names) == ["0", "1", "4", "5"]
    assert [images[:, 0, 0, 0].tolist() for images, _ in stored.epoch(BatchOrder(4))] == [[0, 1, 4, 5]]
    assert [problem.path for problem in left_out] == ["2.png", "3.png"]


def test_nothing_readable_is_an_error_even_when_skipping(numbers):
    with pytest.raises(DataError, match="can't be read"):
        load_split(numbers(2, broken=(0, 1)), unreadable="skip")


def test_progress_is_reported(numbers):
    seen = []
    load_split(numbers(3), what="reading", report=lambda *said: seen.append(said))
    assert seen == [("reading", 1, 3), ("reading", 2, 3), ("reading", 3, 3)]


@pytest.mark.parametrize(("cache", "kind"), [("auto", Cached), ("memory", Cached), ("disk", Cached), ("off", Uncached)])
def test_where_pairs_are_kept_changes_nothing_else(numbers, cache, kind):
    stored, left_out = load_split(numbers(5), cache=cache)
    assert isinstance(stored, kind)
    assert left_out == []
    ((source, target),) = stored.epoch(BatchOrder(5))
    assert source[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(target, source + 100)


def test_no_more_than_some_are_named():
    problems = [Problem(f"{index}.png", "is damaged") for index in range(50)]
    with pytest.raises(DataError) as caught:
        raise_unreadable(problems)
    *named, hint = caught.value.problems
    assert named == problems[:20]
    assert hint.cause == "50 files can't be read"
    raise_unreadable([])


def test_pairs_come_in_order_whoever_is_first(numbers):
    def act(pair):
        time.sleep(0.002 * (5 - int(pair.name)))
        return pair.name

    assert list(decode_in_threads(numbers(5), act)) == ["0", "1", "2", "3", "4"]


def test_an_error_takes_the_place_of_its_pair(numbers):
    first, second, third = decode_in_threads(numbers(3, broken=(1,)), lambda pair: pair.name)
    assert (first, third) == ("0", "2")
    assert [problem.path for problem in second.problems] == ["1.png"]


def test_another_error_is_no_pairs(numbers):
    with pytest.raises(ZeroDivisionError):
        list(decode_in_threads(numbers(3), lambda pair: 1 / 0))


def test_only_a_few_are_decoded_ahead_of_who_takes_them(numbers):
    many = numbers(1000)
    coming = decode_in_threads(many, lambda pair: threading.current_thread().name)
    assert next(coming) != threading.current_thread().name
    assert many.reads <= 64
    coming.close()


def test_a_list_of_pairs_is_a_split_too(numbers):
    pairs = [numbers(3)[index] for index in range(3)]
    stored, _ = load_split(pairs)
    assert list(stored.names) == ["0", "1", "2"]
