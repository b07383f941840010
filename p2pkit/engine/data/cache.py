"""Where decoded pairs are kept: in memory, or in a mapped file."""

from __future__ import annotations

import tempfile

import numpy as np
import psutil
import torch
from torch import Tensor

from p2pkit.engine.distributed.world import world
from p2pkit.types import Pair

_SHARE_OF_MEMORY = 0.25


class _Store:
    """Memory or a mapped file for decoded pairs, sized by the first one."""

    def __init__(self, count: int, cache: str) -> None:
        self.count = count
        self.cache = cache
        self.source: Tensor | None = None
        self.target: Tensor | None = None

    def put(self, position: int, pair: Pair) -> None:
        if self.cache == "off":
            return
        if self.source is None or self.target is None:
            size = self.count * (pair.source.nbytes + pair.target.nbytes)
            fits = size <= psutil.virtual_memory().available * _SHARE_OF_MEMORY / world().local_count
            memory = self.cache == "memory" or (self.cache == "auto" and fits)
            self.source, self.target = (_empty(self.count, image, memory) for image in (pair.source, pair.target))
        self.source[position] = pair.source
        self.target[position] = pair.target


def _empty(count: int, like: Tensor, memory: bool) -> Tensor:
    shape = (count, *like.shape)
    if memory:
        return torch.empty(shape, dtype=like.dtype)
    kind = like.numpy().dtype
    file = tempfile.NamedTemporaryFile(prefix="p2pkit-cache-")  # noqa: SIM115  lives as long as the map
    return torch.from_numpy(np.memmap(file, dtype=kind, mode="w+", shape=shape))
