"""Freed memory is kept while a run trains, and only then."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from p2pkit.engine import allocator
from p2pkit.engine.allocator import memory_kept

PAGES = 40 * 2**20 // resource.getpagesize()


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    for name in (*allocator._OWN, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    allocator._glibc.cache_clear()
    yield monkeypatch
    allocator._glibc.cache_clear()


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told what to keep")


@glibc
def test_memory_that_is_wanted_again_is_not_fetched_again():
    assert _new_pages() > PAGES / 2
    with memory_kept():
        assert _new_pages() < PAGES / 20
        with memory_kept(False):
            assert _new_pages() > PAGES / 2
        with memory_kept():
            assert _new_pages() < PAGES / 20
    assert _new_pages() > PAGES / 2


@glibc
def test_it_ends_with_an_error():
    with pytest.raises(ZeroDivisionError), memory_kept():
        raise ZeroDivisionError
    assert allocator._asked == [False]
    assert _new_pages() > PAGES / 2


@pytest.mark.parametrize("own", [("MALLOC_TRIM_THRESHOLD_", "1"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")])
def test_a_users_own_settings_are_left_alone(own, settings):
    settings.setenv(*own)
    assert allocator._glibc() is None
    with memory_kept():
        assert torch.ones(2).sum() == 2


def _new_pages():
    """Return how many pages the system has to find for a block of 40 MiB that is used and freed again and again."""
    found = []
    for _ in range(5):  # the first blocks may still be put at another place
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(10 * 2**20)
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(found)
