"""Several processes train as one does; two of them on the CPU, by gloo."""

from __future__ import annotations

from p2pkit.engine.parallel import Processes, processes


def test_on_its_own_a_process_is_the_only_one(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    alone = processes()
    assert alone == Processes(0, 1, 0, 1)
    assert alone.main
    assert not alone.several


def test_torchrun_says_which_process_it_is(monkeypatch):
    for name, value in {"RANK": 5, "WORLD_SIZE": 8, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 4}.items():
        monkeypatch.setenv(name, str(value))
    assert processes() == Processes(5, 8, 1, 4)
    assert not processes().main
    assert processes().several
