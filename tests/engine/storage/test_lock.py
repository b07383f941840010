"""Two processes, one run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from p2pkit import ModelError
from p2pkit.engine.storage.lock import run_lock

HOLD = """
import sys, time
from pathlib import Path
from p2pkit.engine.storage.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path, warm):
    process = warm([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_who_comes_second_is_told_who_is_at_it(holder, tmp_path):
    with (
        pytest.raises(ModelError, match=rf"being trained by process {holder.pid} on \S+ since \d") as caught,
        run_lock(tmp_path),
    ):
        pytest.fail("both hold it")
    assert "another name" in str(caught.value)


def test_a_process_that_is_killed_lets_go(holder, tmp_path):
    holder.kill()
    holder.wait()
    with run_lock(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".owner").read_text()
    with run_lock(tmp_path):
        pass


def test_a_run_under_way_is_not_trained_by_another(work, holder, tmp_path):
    with pytest.raises(ModelError, match="being trained by process"):
        work(tmp_path).train()
