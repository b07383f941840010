"""Where decoded pairs are kept: in memory, or in a mapped file."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from p2pkit.atomic_files import writing
from p2pkit.engine.distributed.world import world
from p2pkit.errors import DeviceError, Problem
from p2pkit.types import Pair

_SHARE_OF_MEMORY = 0.25


def fits_on(device: torch.device, wanted: int, cache: str) -> bool:
    """Whether decoded pairs are to lie on a device.

    Args:
        device: The device; on a CPU they lie in its memory anyway.
        wanted: Their bytes.
        cache: `auto` where a quarter of what is free has to suffice, `device` where they must.

    Raises:
        DeviceError: They must, and don't fit.
    """
    if device.type != "cuda" or cache not in ("auto", "device"):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    if cache == "device" and wanted > free:
        cause = f"device, but the training images take {wanted / 2**30:.1f} GiB, and {free / 2**30:.1f} are free there"
        raise DeviceError(Problem("engine.cache", cause, "write auto"))
    return cache == "device" or wanted <= free * _SHARE_OF_MEMORY


class _Store:
    """Memory or a mapped file for decoded pairs, sized by the first one."""

    def __init__(self, count: int, cache: str) -> None:
        self.count = count
        self.cache = cache
        self.held: list[Tensor] = []

    def put(self, position: int, pair: Pair) -> None:
        if self.cache == "off":
            return
        stored = list(pair.stored.values())
        if not self.held:
            size = self.count * sum(each.nbytes for each in stored)
            fits = size <= psutil.virtual_memory().available * _SHARE_OF_MEMORY / world().local_count
            memory = self.cache == "memory" or (self.cache in ("auto", "device") and fits)
            self.held = [_empty(self.count, each, memory) for each in stored]
        for all_of_them, each in zip(self.held, stored, strict=True):
            all_of_them[position] = each


def _empty(count: int, like: Tensor, memory: bool) -> Tensor:
    shape = (count, *like.shape)
    if memory:
        return torch.empty(shape, dtype=like.dtype)
    kind = like.numpy().dtype
    # The file has no name any more when this returns; its bytes live as long as the map.
    with writing(Path(tempfile.gettempdir(), "p2pkit-cache")), tempfile.NamedTemporaryFile() as file:
        if hasattr(os, "posix_fallocate"):  # else a disk that is full ends the process, when the map is written to
            os.posix_fallocate(file.fileno(), 0, math.prod(shape) * kind.itemsize)
        return torch.from_numpy(np.memmap(file, dtype=kind, mode="w+", shape=shape))
