"""The processes of this machine: each does one piece after another, and a GPU is one's alone or is shared."""

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
PIECES = """
import os, signal, time

def process(tell):
    print("what is printed is no answer")
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"]

def die(tell):
    os._exit(3)

def wait(tell, saved):
    try:
        tell({"waits": True})
        time.sleep(60)
    except KeyboardInterrupt:
        open(saved, "w").close()
        raise
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return pieces of work that import no torch."""
    (tmp_path / "pieces_of_tests.py").write_text(PIECES)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    monkeypatch.setenv("PYTHONPATH", path)
    return lambda function, name="", **arguments: p2pkit.Work(f"pieces_of_tests:{function}", arguments, name)


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_is_this_one():
    assert [each.value for each in perform(Local(processes=1), [piece("process")], NONE)] == [os.getpid()]


def test_several_do_each_piece_once_and_one_that_dies_is_replaced(own):
    works = [own("process", f"{n}") for n in range(5)] + [own("die", "die")]
    found = {each.work.name: each for each in perform(Local(processes=2, threads=3), works, NONE, retries=1)}
    values = [found[f"{n}"].value for n in range(5)]
    processes = {process for process, *_ in values}
    assert os.getpid() not in processes
    assert {tuple(others) for _, *others in values} == {("", "3")}
    assert found["die"].lost
    assert "code 3" in found["die"].problems[0].cause
    assert not any(map(alive, processes))


def test_who_closes_it_has_work_end_and_save_what_it_has(own, tmp_path):
    executor, begun = Local(processes=2), threading.Event()
    future = executor.submit(own("wait", saved=str(tmp_path / "saved")), NONE, lambda said: begun.set())
    assert begun.wait(60)
    executor.close()
    assert future.exception() is not None
    assert (tmp_path / "saved").is_file()


def test_gpus_are_shared_out_and_waited_for():
    gpus = Gpus(("a", "b"))
    assert gpus.take(None) == ("a",)
    assert [gpus.take(0.5), gpus.take(0.5), gpus.take(0)] == [("b",), ("b",), ()]
    later = threading.Timer(0.05, gpus.give_back, [("a",), None])
    later.start()
    assert gpus.take(1) == ("a",)
    later.join()
    for share in (0.5, 0.5):
        gpus.give_back(("b",), share)
    gpus.give_back(("a",), 1)
    assert gpus.take(2) == ("a", "b")


def test_where_there_are_no_gpus_none_is_taken_unasked():
    assert Gpus(()).take(None) == ()


def test_more_gpus_than_there_are():
    with pytest.raises(p2pkit.DeviceError, match="asks for 3, and this machine has 1"):
        Gpus(("a",)).require(3)
