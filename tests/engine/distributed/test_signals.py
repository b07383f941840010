"""The first signal asks a run to save and leave, the second of the keyboard ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from p2pkit.engine.distributed import signals
from p2pkit.engine.distributed.signals import GracefulExit, signal_watchdog
from p2pkit.engine.storage.state import read_state


def test_the_first_signal_is_only_noted_and_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with GracefulExit() as leave, leave.deferred():
        assert leave.signal is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert leave.signal == signal.SIGTERM
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_second_of_the_keyboard_ends_at_once():
    def interrupted():
        with GracefulExit() as leave, leave.deferred():
            os.kill(os.getpid(), signal.SIGINT)
            assert leave.signal == signal.SIGINT
            os.kill(os.getpid(), signal.SIGTERM)  # this one may come from torchrun, twice
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("went on")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_there_is_nothing_to_hear():
    def work():
        with GracefulExit() as leave:
            seen.append((leave.signal, signal.getsignal(signal.SIGTERM)))

    seen = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, signal.getsignal(signal.SIGTERM))]


STUCK = """
import ctypes, os, signal, threading
from p2pkit.engine.distributed import signals

signals.ALONE = 0.1
lock, mutex = ctypes.CDLL(None).pthread_mutex_lock, (ctypes.c_byte * 64)()
with signals.GracefulExit() as leave, signals.signal_watchdog(leave, lambda error: print(repr(error), flush=True)):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    lock(mutex)
    lock(mutex)
"""


def test_a_main_thread_that_is_stuck_outside_of_python_is_ended(warm, tmp_path):
    done = warm.run([sys.executable, "-c", STUCK], cwd=tmp_path)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stdout == "Stopped('stopped by SIGTERM')\n"
    assert done.stderr == "stopped by SIGTERM, which the main thread did not hear for 0 s\n"


def test_who_hears_a_signal_is_not_ended(monkeypatch):
    monkeypatch.setattr(signals, "ALONE", 0.01)
    with GracefulExit() as leave, leave.deferred(), signal_watchdog(leave, lambda error: pytest.fail("ended")):
        os.kill(os.getpid(), signal.SIGTERM)
        assert leave.signal == signal.SIGTERM
        time.sleep(0.05)


def wait_for(path, process):
    deadline = time.monotonic() + 100
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_signal_saves_once_and_ends_all(torchrun, command, tmp_path):
    start, finish = torchrun
    process = start(tmp_path, *command("wait"))
    wait_for(tmp_path / "step-5-of-0", process)
    process.send_signal(signal.SIGTERM)
    code, said = finish(process)
    assert code != 0
    assert "Traceback" not in said.partition("torch/distributed/elastic")[0]
    (checkpoint,) = (tmp_path / "runs" / "run" / "checkpoints").iterdir()
    steps = read_state(checkpoint)["position"]["step"]
    assert (tmp_path / f"step-{steps}-of-1").exists()
    assert not (tmp_path / f"step-{steps + 1}-of-1").exists()


@pytest.mark.long
def test_a_process_that_hears_no_signal_is_ended(torchrun, command, tmp_path):
    """The main process waits for one that has stopped; neither gets further, and torchrun would kill both."""
    start, finish = torchrun
    process = start(tmp_path, *command("stop"), P2PKIT_TEST_GRACE="1", TORCH_ELASTIC_SHUTDOWN_TIMEOUT="8")
    wait_for(tmp_path / "step-3-of-1", process)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, said = finish(process)
    assert said.count("another process of this run does not answer") == 1
