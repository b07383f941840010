"""The processes of this machine: each does one piece after another, and GPUs go to one at a time."""

from __future__ import annotations

import os
import threading

import pytest

import p2pkit
from p2pkit.builtin.local_executor import Local
from p2pkit.builtin.local_executor.gpus import Gpus
from p2pkit.executing import perform
from p2pkit.testing.works import piece

NONE = p2pkit.Resources(gpus=0)


def test_one_process_is_this_one():
    assert [each.value for each in perform(Local(processes=1), [piece("process")], NONE)] == [os.getpid()]


def test_several_processes_do_each_piece_once_and_one_that_dies_is_replaced():
    works = [piece("process", f"{n}") for n in range(5)] + [piece("die", spare=0), piece("add", numbers=[1, 2])]
    heard = []
    options = {"retries": 1, "told": lambda work, said: heard.append(said["number"])}
    found = {each.work.name: each for each in perform(Local(processes=2), works, NONE, **options)}
    processes = {found[f"{n}"].value for n in range(5)}
    assert len(processes) <= 2
    assert os.getpid() not in processes
    assert found["die"].lost
    assert "code 3" in found["die"].problems[0].cause
    assert (found["add"].value, heard) == (3, [1, 2])
    assert not any(map(alive, processes))


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_gpus_are_shared_out_and_waited_for():
    gpus = Gpus(("a", "b"))
    assert gpus.take(None) == ("a",)
    assert gpus.take(0.5) == ("b",)
    assert gpus.take(0.5) == ("b",)
    assert gpus.take(0) == ()
    later = threading.Timer(0.05, gpus.give_back, [("a",), None])
    later.start()
    assert gpus.take(1) == ("a",)
    later.join()
    gpus.give_back(("b",), 0.5)
    gpus.give_back(("b",), 0.5)
    gpus.give_back(("a",), 1)
    assert gpus.take(2) == ("a", "b")


def test_more_gpus_than_there_are():
    with pytest.raises(p2pkit.DeviceError, match="asks for 3, and this machine has 1"):
        Gpus(("a",)).require(3)
