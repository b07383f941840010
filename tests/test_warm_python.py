"""A process that is forked is as one that was started anew, but for what it needs to import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

WORLD = """
import os, sys
print(__name__, sys.argv, os.getcwd(), os.environ["WHAT"], "PATH" in os.environ, input(), sys.path[0] == "")
print(os.getpid() == os.getsid(0), os.getpgrp() == os.getsid(0), file=sys.stderr)
"""
LAST = """
import atexit, sys, threading, time
threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
atexit.register(print, "exit")
print("main")
sys.exit(7)
"""
OF_OTHERS = """
import os, signal, subprocess, sys
code = "import os, sys; print('torch' in sys.modules, os.getpgrp(), flush=True); sys.stdin.read()"
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
for session in (True, False):
    process = subprocess.Popen([sys.executable, "-u", "-c", code], start_new_session=session, **pipes)
    imported, group = process.stdout.readline().split()
    print(imported, int(group) == (process.pid if session else os.getpgrp()), process.poll())
    process.send_signal(signal.SIGTERM)
    print(process.wait(30))
"""
CODES = {
    "world": WORLD,
    "last": LAST,
    "words": "import sys; sys.exit('words')",
    "nothing": "import sys; sys.exit()",
    "large": "import sys; sys.exit(300)",
    "error": "def act(): raise ValueError('seen')\nact()",
    "interrupt": "raise KeyboardInterrupt",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "pickled": "import pickle\nclass Own: pass\nprint(type(pickle.loads(pickle.dumps(Own()))))",
}


def outcome(start, command, **options):
    """How it ends, what it prints, and the last line of its errors."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start(command, text=True, **pipes, **options) as process:
        out, errors = process.communicate("given\n", timeout=60)
    return process.returncode, out, errors.splitlines()[-1:]


@pytest.mark.parametrize(("name", "session"), [*((name, False) for name in CODES), ("world", True)])
def test_it_prints_and_ends_as_a_new_one(warm, tmp_path, name, session):
    command = [sys.executable, "-c", CODES[name], "first", "second"]
    options = {"cwd": tmp_path, "env": {"WHAT": "given", "PATH": "/bin"}, "start_new_session": session}
    expected = outcome(subprocess.Popen, command, **options)
    if name == "world" and not session:  # it is not of the session of whoever asks for it
        expected = (*expected[:2], ["False True"])
    assert outcome(warm, command, **options) == expected


@pytest.mark.parametrize(("safe", "options"), [("", []), ("", ["-P"]), ("1", [])])
def test_modules_and_scripts(warm, tmp_path, safe, options):
    (tmp_path / "beside.py").write_text("value = 3")
    (tmp_path / "script.py").write_text("import sys, beside; print(beside.value, sys.argv[1:], __name__, __file__)")
    environment = {**os.environ, "PYTHONSAFEPATH": safe}
    for command in (["-m", "json.tool", "--json-lines"], ["-m", "beside"], [tmp_path / "script.py", "word", "-P"]):
        command = [sys.executable, *options, *command]
        found = [outcome(start, command, cwd=tmp_path, env=environment) for start in (subprocess.Popen, warm)]
        assert found[0] == found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_hears_signals(warm, number):
    process = warm([sys.executable, "-c", "print(1, flush=True); import time; time.sleep(60)"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"1\n"
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    os.kill(process.pid, number)
    assert process.communicate(timeout=60)
    assert process.poll() == process.returncode == -number


def test_processes_of_its_own_are_forked_too_unless_they_share_its_group(warm):
    said = "True True None\n-15\nFalse True None\n-15\n"
    assert outcome(warm, [sys.executable, "-c", OF_OTHERS])[:2] == (0, said)


def test_it_has_what_stands_in_pythonpath(warm, tmp_path):
    (tmp_path / "beside.py").write_text("value = 3")
    code = "import beside, torch, p2pkit.cli; print(beside.value, len(__import__('os').listdir('/proc/self/task')))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert warm.run([sys.executable, "-c", code], env=environment).stdout == "3 1\n"


def test_another_program_is_started_as_ever(warm):
    assert warm.run(["/bin/echo", "words"]).stdout == "words\n"
