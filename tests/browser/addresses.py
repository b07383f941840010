"""The page under an address: by a server, or as a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from p2pkit.serving import Listener, write_page
from p2pkit.serving.models import Served
from p2pkit.serving.server import make_server


@contextmanager
def served(run: Path, warm: Any) -> Iterator[str]:
    """The address of a server of a run by two names."""
    command = [sys.executable, "-m", "p2pkit", "serve", f"one={run}", f"two={run}", "--port", "0", "--device", "cpu"]
    process = warm(command, cwd=run.parents[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    finally:
        process.kill()


@contextmanager
def served_here(model: Served) -> Iterator[str]:
    """The address of a server of one model in this process."""
    listener = Listener("127.0.0.1", 0)
    server = make_server({model.name: model}, listener)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener.socket]})
    thread.start()
    try:
        yield listener.address
    finally:
        server.should_exit = True
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    """A static server that says nothing."""

    def log_message(self, *said: object) -> None:
        pass


@contextmanager
def static(run: Path, _: Any) -> Iterator[str]:
    """The address of a folder that holds the page and the run, by two names, as programs."""
    folder = run.parent / "static"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run.parents[1])
        made = write_page([f"one={run}", f"two={run}"], folder)
    assert list(made.programs) == ["one", "two"]
    with laid(folder) as address:
        yield address


@contextmanager
def laid(folder: Path) -> Iterator[str]:
    """The address of a folder that a static server shows."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def laid_here(model: Served) -> Iterator[str]:
    """The address of a page without a server, with one model's program."""
    folder = model.checkpoint.parents[1] / f"page of {model.name}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("p2pkit.serving.static.load_models", lambda *args, **options: {model.name: model})
        patch.setattr("p2pkit.exporting.folder.load", lambda *args, **options: model.translator)
        patch.setattr("p2pkit.exporting.sources.held_out", lambda *args: [])
        write_page([model.name], folder)
    with laid(folder) as address:
        yield address
