"""A signal ends a run wherever it is: trackers hear that it was stopped, and no plugin is blamed."""

from __future__ import annotations

import os
import signal

import pytest

from p2pkit.engine.data.splits import Splits
from p2pkit.engine.distributed.signals import GracefulExit
from p2pkit.engine.training.session import RunSession
from p2pkit.errors import Stopped
from p2pkit.registry import load_registry

WATCHER = """
import os, pathlib, signal

def _note(run, text):
    with (run.folder / "heard.txt").open("a") as file:
        file.write(text + "\\n")

def _strike(hook):
    if os.environ.get("STRIKE") == hook:
        os.environ["STRIKE"] = ""
        os.kill(os.getpid(), getattr(signal, os.environ["WITH"]))

@p2pkit.hookimpl
def p2pkit_run_started(run):
    _strike("started")

@p2pkit.hookimpl
def p2pkit_evaluated(run, step, report, samples):
    _strike("evaluated")

@p2pkit.hookimpl
def p2pkit_run_ended(run, error, reason):
    if error is None:
        _strike("ended")
    _note(run, repr(error))
"""


@pytest.fixture
def struck(checked, write_plugin, tmp_path, monkeypatch, told):
    """Train with a plugin in whose hook a signal comes; returns what was raised, said and heard."""
    names = load_registry(discover=False, start=tmp_path, plugin_files=[write_plugin(WATCHER, "watcher")])
    folder = tmp_path / "run"
    folder.mkdir()

    def train(hook, name):
        monkeypatch.setenv("STRIKE", hook)
        monkeypatch.setenv("WITH", name)
        session = RunSession(checked(), names.plugins, folder, told)
        with pytest.raises(Stopped) as stopped:
            session.train()
        return stopped.value, told.said, (folder / "heard.txt").read_text().splitlines()

    return train


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("hook", ["started", "ended"])
def test_a_signal_while_a_plugin_works_stops_the_run(struck, hook, name):
    before = signal.getsignal(signal.SIGTERM)
    stopped, said, heard = struck(hook, name)
    assert stopped.signal == getattr(signal, name)
    assert heard[-1] == f"Stopped('stopped by {name}')"
    assert not [text for text in said if "failed" in text]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_while_the_data_are_read_stops_the_run(work, monkeypatch):
    monkeypatch.setattr(Splits, "read", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        work().train()


def test_in_the_loop_the_first_signal_waits_and_a_second_interrupt_does_not():
    with GracefulExit() as leave, leave.deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert leave.signal == signal.SIGINT
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
