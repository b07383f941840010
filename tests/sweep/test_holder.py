"""A trial belongs to the process that signs it, for as long as that lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta

import optuna
import pytest

from p2pkit.children import started, this_place
from p2pkit.sweep import holder
from p2pkit.sweep.holder import held, is_alive


@pytest.fixture
def trial():
    """A trial under way that nobody has signed."""
    return optuna.create_study().ask()


def frozen(trial):
    return trial.study.trials[trial.number]


def signed_by(trial, place, process, started, beat=0.0):
    trial.set_user_attr("holder", [place, process, started, beat])
    return is_alive(frozen(trial))


def test_it_is_held_by_a_living_process_and_not_by_a_dead_one(trial):
    with held(trial):
        assert is_alive(frozen(trial))
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    signature = (this_place(), process.pid, started(process.pid))
    assert signed_by(trial, *signature)
    process.communicate(b"\n")
    assert not signed_by(trial, *signature)


def test_a_number_that_was_given_to_another_process_is_not_the_one_that_died(trial):
    assert not signed_by(trial, this_place(), os.getpid(), 1.0)


def test_of_another_machine_the_signs_of_life_count(trial):
    assert signed_by(trial, "elsewhere 123", 1, 1.0, time.time() - 1)
    assert not signed_by(trial, "elsewhere 123", 1, 1.0, time.time() - 2 * holder.PATIENCE)


def test_signs_of_life(trial, monkeypatch):
    monkeypatch.setattr(holder, "BEAT", 0.01)
    deadline = time.monotonic() + 10
    with held(trial):
        first = frozen(trial).user_attrs["holder"]
        while frozen(trial).user_attrs["holder"] == first and time.monotonic() < deadline:
            time.sleep(0.01)
    last = frozen(trial).user_attrs["holder"]
    assert last[:3] == first[:3]
    assert last[3] > first[3]


def test_one_that_was_never_signed_is_waited_for(trial):
    unsigned = frozen(trial)
    assert is_alive(unsigned)
    unsigned.datetime_start = datetime.now() - timedelta(seconds=2 * holder.PATIENCE)
    assert not is_alive(unsigned)
