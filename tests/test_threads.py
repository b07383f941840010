"""The threads that torch computes with are settled before it is loaded."""

from __future__ import annotations

import os

import pytest

from p2pkit import threads


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    for name in (*threads.OWN_SPINS, "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "odd"}, None),
        ({}, None),
    ],
)
def test_a_containers_share_of_the_machine(tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads.granted_cores(tmp_path) == cores


def test_as_many_threads_as_cores_are_granted(monkeypatch):
    monkeypatch.setattr(threads, "granted_cores", lambda: 2)
    monkeypatch.setattr(threads, "_allowed", lambda: set(range(64)))
    threads.settle_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_no_limit_leaves_the_number_to_torch(monkeypatch):
    monkeypatch.setattr(threads, "granted_cores", lambda: None)
    threads.settle_threads()
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("name", threads.OWN_SPINS)
def test_what_the_user_has_set_stays(monkeypatch, name):
    monkeypatch.setenv(name, "ACTIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads.settle_threads()
    assert (os.environ[name], os.environ["OMP_NUM_THREADS"]) == ("ACTIVE", "3")
    assert sum(each in os.environ for each in threads.OWN_SPINS) == 1


def test_every_command_settles_them_before_torch_is_there(python, tmp_path):
    told = python(
        """
        import os, sys
        from p2pkit import cli, threads
        assert "torch" not in sys.modules
        sys.argv = ["p2pkit", "--version"]
        try:
            cli.main()
        except SystemExit:
            print(os.environ["GOMP_SPINCOUNT"] == threads.SPINS)
        """,
        tmp_path,
    )
    assert told.splitlines()[-1] == "True"
