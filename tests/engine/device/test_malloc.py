"""Freed memory is kept while a run trains, and only then."""

from __future__ import annotations

import json
import platform

import pytest

from p2pkit.engine.device import malloc
from p2pkit.engine.device.malloc import keep_freed_memory

MIB = 40
CODE = f"""
    import ctypes, json, resource
    from p2pkit.engine.device.malloc import memory_kept

    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]

    def fetched():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = library.malloc({MIB} * 2**20)
        ctypes.memset(block, 1, {MIB} * 2**20)
        library.free(block)
        return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / 2**20

    def held():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20

    told = {{"before": min(fetched() for _ in range(5))}}
    try:
        with memory_kept():
            told["kept"] = min(fetched() for _ in range(5))  # the first ones may still find another place
            told["held"] = held()
            with memory_kept():
                pass
            told["still"] = min(fetched() for _ in range(5))
            with memory_kept(False):
                told["not held"] = held()
            fetched()
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        told["after"] = held()
    print(json.dumps(told))
"""


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    for name in (*malloc._OWN, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    malloc._glibc.cache_clear()
    yield monkeypatch
    malloc._glibc.cache_clear()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told what to keep")
def test_memory_that_is_wanted_again_is_kept_until_the_end(python, tmp_path):
    told = json.loads(python(CODE, tmp_path))
    assert told["before"] > MIB - 1
    assert told["kept"] < 1
    assert told["still"] < 1
    assert told["not held"] < told["held"] - MIB + 5
    assert told["after"] < told["held"] - MIB + 5


@pytest.mark.parametrize("own", [("MALLOC_TRIM_THRESHOLD_", "1"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")])
def test_a_users_own_settings_are_left_alone(own, settings):
    settings.setenv(*own)
    assert malloc._glibc() is None
    with keep_freed_memory():
        assert malloc._asked == [False, True]
    assert malloc._asked == [False]
