"""What machine this is, and how long work takes on it."""

from __future__ import annotations

import platform
import time
from types import SimpleNamespace

import pytest
import torch

from p2pkit.engine.device import timing
from p2pkit.engine.device.timing import describe, timed

CPU = torch.device("cpu")


def test_a_machine_is_described_in_plain_values():
    found = describe(CPU)
    assert found["device"] == f"cpu ({platform.machine()})"
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__
    assert found["cores"] >= 1
    assert found["processor"] == timing._processor()


@pytest.mark.parametrize("lines", [["model name\t: Fast 9000", "model name\t: Fast 9001"], ["flags: none"], None])
def test_the_processor_is_the_first_one_or_what_python_says(monkeypatch, lines):
    file = SimpleNamespace(is_file=lambda: lines is not None, read_text=lambda encoding: "\n".join(lines))
    monkeypatch.setattr(timing, "Path", lambda name: file)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert timing._processor() == ("Fast 9000" if lines and len(lines) == 2 else "arm")


def test_work_is_done_once_and_timed():
    done = []
    seconds = timed(lambda: done.append(time.sleep(0.05)), CPU)
    assert len(done) == 1
    assert 0.05 <= seconds < 5


def test_a_gpu_times_itself(monkeypatch):
    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            order.append("event")

        def elapsed_time(self, ended):
            return 1500.0

    order = []
    monkeypatch.setattr("torch.cuda.Event", Event)
    monkeypatch.setattr("torch.cuda.synchronize", lambda device: order.append("synchronize"))
    assert timed(lambda: order.append("work"), torch.device("cuda")) == 1.5
    assert order == ["event", "work", "event", "synchronize"]


def test_work_on_mps_is_waited_for(monkeypatch):
    order = []
    monkeypatch.setattr("torch.mps.synchronize", lambda: order.append("synchronize"))
    assert timed(lambda: order.append("work"), torch.device("mps")) >= 0
    assert order == ["work", "synchronize"]
