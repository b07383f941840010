"""A process that reads is killed: the batches are those that they would have been, or an error says where."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from torch.utils.data import get_worker_info

from p2pkit import DataError, Pair
from p2pkit.engine.data.pair_sources import Uncached


class Pairs:
    """Twelve pairs, of which the sixth kills the process that reads it, as often as a file has letters."""

    def __init__(self, file):
        self.file = file

    def __len__(self):
        return 12

    def __getitem__(self, index):
        left = self.file.read_text()
        if index == 6 and left and get_worker_info() is not None:
            self.file.write_text(left[1:])
            os.kill(os.getpid(), signal.SIGKILL)
        image = torch.full((1, 2, 2), index, dtype=torch.uint8)
        return Pair(image, image, f"pair-{index}")


@pytest.fixture
def batches(tmp_path):
    def read(kills):
        (tmp_path / "kills").write_text("x" * kills)
        source = Uncached([f"pair-{i}" for i in range(12)], Pairs(tmp_path / "kills"), range(12), workers=2)
        return [int(images[0][0, 0, 0, 0]) for images in source.batches([[i] for i in range(12)])]

    return read


def test_a_killed_worker_is_replaced_once(batches):
    assert batches(1) == list(range(12))


def test_a_worker_that_is_killed_twice_is_an_error_that_says_where(batches):
    with pytest.raises(DataError, match=r"killed twice, at or after pair-\d"):
        batches(2)
