"""One door for errors: a line on the terminal, the rest in a file."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys

import pytest

from p2pkit import api
from p2pkit.__main__ import main
from p2pkit.engine.distributed.signals import GracefulExit


@pytest.fixture
def broken(monkeypatch):
    """Let training fail by an error that nobody foresaw."""

    def fail(error):
        def act(checked, *_):
            raise error

        monkeypatch.setattr("p2pkit.api._train", act)

    return fail


def reports(folder):
    return list(folder.glob("p2pkit-error-*.txt"))


def test_an_unforeseen_error_is_one_line_and_a_file(p2pkit, tiny, tmp_path, broken):
    broken(ZeroDivisionError("division by\nzero"))
    done = p2pkit("train", tiny, "-s", "losses.l1=7")
    (file,) = reports(tmp_path)
    assert done.code == 1
    assert done.err.splitlines()[:2] == ["error:", "  ZeroDivisionError: division by"]
    assert str(file) in done.err
    assert "Traceback" not in done.err
    text = file.read_text()
    for part in ("# command\np2pkit train", "torch 2.", "weight: 7", "Traceback (most recent", "division by\nzero"):
        assert part in text


def test_the_traceback_is_shown_when_asked_for(p2pkit, tiny, tmp_path, broken):
    broken(ZeroDivisionError("division by zero"))
    done = p2pkit("--traceback", "train", tiny)
    assert "Traceback (most recent call last)" in done.err
    assert len(reports(tmp_path)) == 1
    done = p2pkit("train", tiny, "-s", "losses.l2x=1", "--traceback")
    assert (done.code, "Traceback" in done.err) == (2, True)
    assert len(reports(tmp_path)) == 1  # an error of the user's leaves no file


def test_what_the_system_refuses_is_said_in_its_words(p2pkit, tiny, tmp_path, broken):
    broken(OSError(errno.EIO, "Input/output error", "runs/a/state.json"))
    assert "  runs/a/state.json: input/output error\n" in p2pkit("train", tiny).err


def test_a_folder_that_can_not_be_written_to(p2pkit, tiny, tmp_path, broken, monkeypatch):
    broken(ZeroDivisionError("zero"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("p2pkit.cli.crash.Path.cwd", lambda: tmp_path / "gone")
    assert str(tmp_path / "elsewhere" / "p2pkit-error-") in p2pkit("train", tiny).err


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_ends_in_a_sentence(p2pkit, monkeypatch, name, code):
    def act(*_, **__):
        with GracefulExit():
            signal.raise_signal(getattr(signal, name))

    monkeypatch.setattr(api, "check_plan", act)
    told = p2pkit("train", "demo")
    assert (told.code, told.err) == (code, f"stopped by {name}\n")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_while_the_command_line_is_imported_ends_in_a_sentence(tmp_path, name, code):
    (tmp_path / "typer.py").write_text(f"import os, signal\nos.kill(os.getpid(), signal.{name})\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "p2pkit", "--version"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, f"stopped by {name}\n")


@pytest.fixture
def told():
    """Run the command line's door in this process, with signals as they were afterwards; returns what is heard then."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}

    def run():
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, [signal.getsignal(number) for number in numbers]

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_process_that_is_done_does_not_look_for_what_it_could_still_free(monkeypatch, told):
    """With torch and MLflow imported that took two to three seconds of processor time, longer than a signal may."""
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    monkeypatch.setattr(sys, "argv", ["p2pkit", "--version"])
    told()
    assert frozen == [True]


@pytest.mark.parametrize("again", ["SIGINT", "SIGTERM"])
def test_a_signal_to_a_process_that_is_done_changes_nothing(monkeypatch, told, capsys, again):
    """Of two Ctrl-C the second may come when Python ends, where it would be told as a traceback."""

    def run():
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("p2pkit.cli.main", run)
    monkeypatch.setattr(gc, "freeze", lambda: signal.raise_signal(getattr(signal, again)))
    assert told() == (143, [signal.SIG_IGN, signal.SIG_IGN])
    assert capsys.readouterr().err == "stopped by SIGTERM\n"
