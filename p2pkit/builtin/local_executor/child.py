"""A process that does one piece of work after the other: told in lines of JSON, and ended by the end of these."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict

import p2pkit
from p2pkit.untyped import Plain


class Child:
    """The process, as the one that has begun it sees it.

    Args:
        devices: The GPUs that it sees.
        threads: How many threads torch may have in it.
    """

    def __init__(self, devices: tuple[str, ...], threads: int) -> None:
        self.devices = devices
        variables = {"CUDA_VISIBLE_DEVICES": ",".join(devices), "OMP_NUM_THREADS": str(threads), "PYTHONSAFEPATH": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **variables},
            text=True,
            encoding="utf-8",
            start_new_session=True,  # of a terminal's Ctrl-C it hears once, from its parent
        )

    def do(self, work: p2pkit.Work, tell: p2pkit.Tell) -> Plain:
        """Have a piece of work done.

        Raises:
            ChildProcessError: The process has ended before.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it is gone, which its silence tells
            self._process.stdin.write(json.dumps(asdict(work)) + "\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            said = json.loads(line)
            if "came" in said:
                came: Plain = said["came"]
                return came
            tell(said["told"])
        raise ChildProcessError(f"its process has ended, with code {self._process.wait()}")

    def dismiss(self) -> None:
        """Ask it to end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait until it has ended."""
        assert self._process.stdout is not None
        self._process.wait()
        self._process.stdout.close()


def main() -> None:
    """Do what the lines of standard input say, until there are no more."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as answers:
        os.dup2(2, 1)  # what anything prints is no answer
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(lines,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            while True:
                work = p2pkit.Work(**json.loads(lines.get()))
                came = p2pkit.do_work(work, lambda told: print(json.dumps({"told": told}), file=answers))
                print(json.dumps({"came": came}), file=answers)


def _listen(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    signal.pthread_kill(main_thread, signal.SIGTERM)  # whoever gave the work is gone, or wants no more of it
