"""A process that reads is killed or freezes: the batches are what they would have been, or an error says where."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
import torch
from torch.utils.data import get_worker_info

from p2pkit import DataError, ImageSpec, Pair, PairSpec
from p2pkit.engine.data.pair_sources import BatchOrder, Uncached
from p2pkit.engine.data.parts import Parts
from p2pkit.engine.data.streaming import StreamedPairs
from p2pkit.engine.data.workers import Workers

NAMES = [f"pair-{i}" for i in range(12)]
GREY = PairSpec(ImageSpec(1), ImageSpec(1), 2, 2)


class Pairs:
    """Twelve pairs, of which the seventh signals to the process that reads it, as often as a file has letters."""

    def __init__(self, file, number):
        self.file, self.number = file, number

    def __len__(self):
        return 12

    def __getitem__(self, index):
        left = self.file.read_text()
        if index == 6 and left and get_worker_info() is not None:
            self.file.write_text(left[1:])
            os.kill(os.getpid(), self.number)
        image = torch.full((1, 2, 2), index, dtype=torch.uint8)
        return Pair(image, image, f"pair-{index}")


class Stream:
    """The same, one after another."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return 12

    def decoders(self, *, part=0, parts=1, seed=None, start=0):
        for index in range(part, 12, parts)[start:]:
            yield lambda index=index: self.pairs[index]


@pytest.fixture
def read(tmp_path):
    """Read all pairs, batches of one, with processes that come to harm; returns the pairs, and what was noted."""

    def read(kind, times, number=signal.SIGKILL, count=2, timeout=None):
        (tmp_path / "times").write_text("x" * times)
        pairs, noted = Pairs(tmp_path / "times", number), []
        workers = Workers(count, timeout, noted.append)
        if kind == "pairs":
            source = Uncached(NAMES, pairs, range(12), workers)
        elif kind == "parts":
            source = Parts(NAMES, pairs, range(12), GREY, (1, 1), workers)
        else:
            source = StreamedPairs(Stream(pairs), workers)
        batches = [int(images[0][0, 0, 0, 0]) for images in source.epoch(BatchOrder(1))]
        return batches, noted

    yield read
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("kind", "place"), [("pairs", "pair-6"), ("parts", "pair-6"), ("stream", "batch 6 of the st")])
def test_a_killed_worker_is_replaced_once_and_what_it_read_is_named(read, kind, place):
    batches, noted = read(kind, 1)
    assert batches == list(range(12))
    (told,) = noted
    assert told.startswith(f"a process that reads was killed while it read {place}")


def test_a_worker_that_is_killed_twice_is_an_error_that_says_where(read):
    with pytest.raises(DataError, match=r"engine.workers: a .* was killed while it read pair-6; another"):
        read("pairs", 2)


def test_a_frozen_worker_is_told_after_its_time_and_replaced(read):
    batches, noted = read("pairs", 1, signal.SIGSTOP, timeout=4)
    assert batches == list(range(12))
    (told,) = noted
    assert "has not answered for 4 seconds while it read pair-6;" in told


@pytest.mark.slow
def test_a_worker_that_freezes_twice_is_an_error_that_names_the_setting(read):
    with pytest.raises(DataError, match=r"(?s)engine.worker_timeout: .* while it read pair-6; .* or null"):
        read("pairs", 2, signal.SIGSTOP, timeout=4)


def test_who_leaves_early_leaves_no_frozen_process(tmp_path):
    (tmp_path / "times").write_text("x")
    source = Uncached(NAMES, Pairs(tmp_path / "times", signal.SIGSTOP), range(12), Workers(2))
    batches = source.epoch(BatchOrder(1))
    for _ in range(6):
        next(batches)
    batches.close()
    assert multiprocessing.active_children() == []
