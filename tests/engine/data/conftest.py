"""Pairs that say which they are."""

from __future__ import annotations

import pytest
import torch

from p2pkit import DataError, Pair, Problem


class Numbers:
    """Pairs whose images hold their own index; some can't be read."""

    def __init__(self, count, broken=()):
        self.count = count
        self.broken = broken
        self.reads = 0

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads += 1
        if index in self.broken:
            raise DataError(Problem(f"{index}.png", "is damaged"))
        image = torch.full((1, 2, 2), index, dtype=torch.uint8)
        return Pair(image, image + 100, str(index))


@pytest.fixture(scope="session")
def numbers():
    return Numbers
