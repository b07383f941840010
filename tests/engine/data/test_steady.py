"""Data sets whose pairs are not the same each time are refused before training, and the cause is told apart."""

from __future__ import annotations

import threading

import pytest
import torch

from p2pkit import DataError, ImageSpec, Pair, PairSpec
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.steady import refuse_unsteady

IMAGES = PairSpec(ImageSpec(3), ImageSpec(3), 4, 4)


def image(index):
    return torch.full((3, 4, 4), index, dtype=torch.uint8)


class Pairs:
    def __init__(self, read):
        self.read, self.buffer, self.reading = read, image(0), 0
        self.barrier = threading.Barrier(4)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.reading += 1
        return self.read(self, index)


def sound(pairs, index):
    return Pair(image(index), image(index), str(index))


def one_buffer(pairs, index):
    return Pair(pairs.buffer.fill_(index), image(index), str(index))


def drawn(pairs, index):
    return Pair(image(pairs.reading), image(index), str(index))


def shared_by_threads(pairs, index):
    pairs.buffer = image(index)
    if threading.current_thread() is not threading.main_thread():
        pairs.barrier.wait(10)  # all have written it before one reads it
    return Pair(pairs.buffer, image(index), str(index))


FAULTS = {one_buffer: "change when another pair is read", drawn: "whenever it is read", shared_by_threads: "threads"}


@pytest.mark.parametrize(("read", "told"), FAULTS.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_the_cause_is_told(read, told):
    with pytest.raises(DataError, match=told):
        refuse_unsteady(Pairs(read))


def test_what_is_sound_or_can_t_be_read_is_left_to_others():
    refuse_unsteady(Pairs(sound))
    refuse_unsteady(Pairs(lambda pairs, index: 1 / 0))
    refuse_unsteady([])


def test_training_does_not_begin():
    with pytest.raises(DataError, match="whenever it is read"):
        load_split(Pairs(drawn), images=IMAGES)
    assert len(load_split(Pairs(sound), images=IMAGES)[0]) == 4
