"""A unit of work belongs to one living process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from p2pkit.sweep import claims
from p2pkit.sweep.claims import is_taken, take


def test_only_one_has_it_until_it_is_given_back(tmp_path):
    claim = take(tmp_path, 3)
    assert claim is not None
    assert take(tmp_path, 3) is None
    assert take(tmp_path, 4) is not None
    with claim:
        assert is_taken(tmp_path, 3)
    assert not is_taken(tmp_path, 3)
    assert take(tmp_path, 3) is not None


def test_a_dead_process_of_this_machine_loses_it_at_once(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = claims._started(process.pid)
    (tmp_path / "0000.claim-0").write_text(f"{claims._place()} {process.pid}:{started}")
    assert take(tmp_path, 0) is None
    process.communicate(b"\n")
    assert take(tmp_path, 0) is not None


def test_a_number_that_was_given_to_another_process_is_not_the_one_that_died(tmp_path):
    (tmp_path / "0000.claim-0").write_text(f"{claims._place()} {os.getpid()}:1.0")
    assert take(tmp_path, 0) is not None


def test_a_process_of_another_machine_loses_it_when_it_is_silent(tmp_path):
    file = tmp_path / "0000.claim-0"
    file.write_text("elsewhere 123 1:1.0")
    assert take(tmp_path, 0) is None
    long_ago = time.time() - 2 * claims.PATIENCE
    os.utime(file, (long_ago, long_ago))
    assert take(tmp_path, 0) is not None
    assert take(tmp_path, 0) is None


def test_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    claim = take(tmp_path, 0)
    os.utime(claim.path, (1, 1))
    with claim:
        deadline = time.monotonic() + 10
        while claim.path.stat().st_mtime == 1 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert claim.path.stat().st_mtime > 1


def test_of_many_that_want_it_at_once_one_gets_it(tmp_path):
    def grab(_):
        return [unit for unit in range(100) if take(tmp_path, unit)]

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(grab, range(4)))
    assert sorted(unit for units in got for unit in units) == list(range(100))
