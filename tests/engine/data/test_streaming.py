"""Batches from a stream: complete, in an order that a seed settles, and the same from any position on."""

from __future__ import annotations

import random
from functools import partial
from itertools import chain

import pytest
import torch

from p2pkit import DataError, ImageSpec, Pair, PairSpec, PairStream, Problem
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.data.prefetch import map_in_threads, prefetch
from p2pkit.engine.data.streaming import StreamedPairs
from p2pkit.engine.data.workers import Workers
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision

CPU = torch.device("cpu")
PLACE = Placement(CPU, Precision("fp32", CPU), torch.contiguous_format)
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
IMAGES = PairSpec(ImageSpec(1), ImageSpec(1), 2, 2)


class Numbers:
    """A stream whose images hold their own index; some can't be read."""

    def __init__(self, count, broken=(), lost=()):
        self.count = count
        self.broken = broken
        self.lost = lost

    def __len__(self):
        return self.count

    def problems(self):
        return [Problem(file, "there is no such file") for file in self.lost]

    def decoders(self, *, part=0, parts=1, seed=None, start=0):
        indices = list(range(self.count))
        if seed is not None:
            random.Random(seed).shuffle(indices)
        for index in indices[part::parts][start:]:
            yield partial(number, index, index in self.broken)


def number(index, broken):
    if broken:
        raise DataError(Problem(f"{index}.png", "is damaged"))
    image = torch.full((1, 2, 2), index, dtype=torch.uint8)
    return Pair(image, image + 100, str(index))


def loader(stream, *, workers=0, unreadable="stop", note=lambda problem: None, **options):
    stored, _ = load_split(stream, workers=Workers(workers), unreadable=unreadable, note=note)
    return Loader(stored, IMAGES, batch=4, place=PLACE, **options)


def indices(batches):
    return [((batch.source[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for batch in batches]


def flat(groups):
    return list(chain.from_iterable(groups))


def test_what_a_stream_is():
    assert isinstance(Numbers(3), PairStream)
    assert not isinstance([], PairStream)
    assert isinstance(load_split(Numbers(3))[0], StreamedPairs)


def test_in_the_stored_order_nothing_is_missing():
    assert indices(loader(Numbers(10)).epoch()) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_each_pair_once_in_an_epoch_and_another_order_in_the_next(workers):
    shuffled = loader(Numbers(24), workers=workers, shuffle=True, seed=5)
    first, second = indices(shuffled.epoch(0)), indices(shuffled.epoch(1))
    assert sorted(flat(first)) == list(range(24)) == sorted(flat(second))
    assert first != second
    assert first == indices(loader(Numbers(24), workers=workers, shuffle=True, seed=5).epoch(0))
    assert len(shuffled) == 6


@pytest.mark.parametrize("workers", [0, 2, 3])
def test_an_epoch_goes_on_where_it_was_interrupted(workers):
    shuffled = loader(Numbers(45), workers=workers, shuffle=True)
    whole = indices(shuffled.epoch(3))
    assert len(whole) == 11
    for skip in (1, 4, 10):
        assert indices(shuffled.epoch(3, skip=skip)) == whole[skip:]


def test_processes_share_a_split():
    parts = [loader(Numbers(26), shuffle=True, part=part, parts=2) for part in range(2)]
    read = [indices(part.epoch()) for part in parts]
    assert [len(part) for part in parts] == [3, 3] == [len(batches) for batches in read]
    together = flat(read[0] + read[1])
    assert len(together) == len(set(together)) == 24
    ordered = [indices(loader(Numbers(11), part=part, parts=2).epoch()) for part in range(2)]
    assert sorted(flat(ordered[0] + ordered[1])) == list(range(11))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_can_not_be_read_stops_the_run_and_is_named(workers):
    with pytest.raises(DataError, match=r"^5\.png: is damaged$") as caught:
        list(loader(Numbers(8, broken=(5,)), workers=workers).epoch())
    assert [problem.path for problem in caught.value.problems] == ["5.png"]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_can_not_be_read_is_left_out_where_that_is_wished(workers):
    noted = []
    shuffled = loader(Numbers(16, broken=(5, 6)), workers=workers, unreadable="skip", note=noted.append, shuffle=True)
    whole = indices(shuffled.epoch(0))
    assert len(whole) == 4
    assert {problem.path for problem in noted} == {"5.png", "6.png"}
    assert set(flat(whole)) == set(range(16)) - {5, 6}
    assert indices(shuffled.epoch(0, skip=2)) == whole[2:]
    ordered = loader(Numbers(9, broken=(0, 5)), workers=workers, unreadable="skip")
    assert indices(ordered.epoch()) == [[1, 2, 3, 4], [6, 7, 8]]


def test_nothing_readable_is_an_error():
    with pytest.raises(DataError, match="is damaged"):
        list(loader(Numbers(4, broken=range(4)), unreadable="skip", shuffle=True).epoch())


def test_what_is_known_to_be_missing_is_said_before_the_work():
    with pytest.raises(DataError, match="write skip here"):
        load_split(Numbers(4, lost=["a.tar"]))
    stored, left_out = load_split(Numbers(4, lost=["a.tar"]), unreadable="skip")
    assert [problem.path for problem in left_out] == ["a.tar"]
    assert len(stored) == 4


def test_samples_are_the_first_pairs():
    shown = list(loader(Numbers(9, broken=(1,)), unreadable="skip").samples(3))
    assert [name for name, _ in shown] == ["0", "2", "3"]
    assert shown[1][1].source.shape == (1, 1, 2, 2)


def test_reading_ahead_is_bounded_and_hands_on_errors():
    taken = []

    def items():
        for index in range(10):
            taken.append(index)
            yield index
        raise OSError("the end")

    coming = prefetch(items(), 2)
    assert next(coming) == 0
    assert len(taken) <= 4
    with pytest.raises(OSError, match="the end"):
        list(coming)


def test_several_threads_keep_the_order_and_a_bounded_distance():
    begun = []
    made = map_in_threads(lambda item: begun.append(item) or -item, range(50), threads=3, depth=4)
    assert [next(made) for _ in range(10)] == [-item for item in range(10)]
    assert len(begun) <= 10 + 5
    assert list(made) == [-item for item in range(10, 50)]
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(lambda item: 1 / item, [1, 0], threads=1, depth=1))


def test_an_error_keeps_its_problems_on_its_way_from_another_process():
    import pickle

    copied = pickle.loads(pickle.dumps(DataError([Problem("a", "b", "c"), Problem("d", "e")])))
    assert copied.problems == (Problem("a", "b", "c"), Problem("d", "e"))
