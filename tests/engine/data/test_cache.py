"""Where decoded pairs are kept."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
import torch

from p2pkit import Pair
from p2pkit.engine.data import cache as room
from p2pkit.engine.data.cache import _Store, fits_on
from p2pkit.errors import DeviceError


@pytest.fixture
def kept(monkeypatch):
    """Note where room is made: in memory, or in a mapped file."""
    seen = []
    make = room._empty
    monkeypatch.setattr(room, "_empty", lambda *args: seen.append(args[2]) or make(*args))
    return seen


def pair(value, kind=torch.uint8, size=4):
    return Pair(torch.full((3, size, size), value, dtype=kind), torch.full((1, size, size), value + 1, dtype=kind), "a")


@pytest.mark.parametrize(("cache", "memory"), [("memory", True), ("disk", False)])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int32])
def test_what_is_put_is_there(kept, cache, memory, kind):
    store = _Store(3, cache)
    for position in (0, 2, 1):
        store.put(position, pair(position * 10, kind))
    assert kept == [memory, memory]
    source, target = store.held
    assert source.shape == (3, 3, 4, 4)
    assert target.shape == (3, 1, 4, 4)
    assert source.dtype == target.dtype == kind
    assert source[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert target[:, 0, 0, 0].tolist() == [1, 11, 21]


def test_off_keeps_nothing(kept):
    store = _Store(3, "off")
    store.put(0, pair(1))
    assert (store.held, kept) == ([], [])


@pytest.mark.parametrize(("available", "memory"), [(4 * 2 * 64, True), (4 * 2 * 64 - 1, False)])
def test_auto_takes_a_quarter_of_the_memory_that_is_free(monkeypatch, kept, available, memory):
    """Two pairs of 48 + 16 bytes."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available))
    _Store(2, "auto").put(0, pair(0))
    assert kept == [memory, memory]


def test_processes_of_a_machine_share_its_memory(monkeypatch, placed, kept):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4 * 2 * 64))
    placed(RANK=0, WORLD_SIZE=2, LOCAL_WORLD_SIZE=2)
    _Store(2, "auto").put(0, pair(0))
    assert kept == [False, False]


def test_a_pair_of_another_size_is_refused():
    store = _Store(2, "memory")
    store.put(0, pair(0))
    with pytest.raises(RuntimeError):
        store.put(1, pair(0, size=5))


CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "cache", "wanted", "fits"),
    [
        (CUDA, "auto", 25, True),
        (CUDA, "auto", 26, False),
        (CUDA, "device", 100, True),
        (CUDA, "memory", 1, False),
        (CUDA, "disk", 1, False),
        (CPU, "auto", 1, False),
        (CPU, "device", 101, False),
    ],
)
def test_a_gpu_keeps_what_fits_into_a_quarter_of_its_free_memory(monkeypatch, device, cache, wanted, fits):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    assert fits_on(device, wanted, cache) == fits


def test_what_must_lie_on_a_gpu_and_does_not_fit_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 2**34))
    with pytest.raises(DeviceError, match=r"take 1\.5 GiB, and 1\.0 are free"):
        fits_on(CUDA, 3 * 2**29, "device")
