"""MLflow's interface on loopback, for as long as someone looks at it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from p2pkit.children import environment
from p2pkit.errors import P2pkitError, Problem
from p2pkit.mlflow_store import FILES, HOST, PORT, SQLITE, check_exists, database_file, is_server, tracking_uri
from p2pkit.mlflow_ui.page import pages

_PATIENCE = 120.0


def serve(
    runs: Sequence[str] = (),
    *,
    port: int = PORT,
    experiment: str | None = None,
    open_browser: bool = True,
    report: Callable[[str], None] = print,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Show recorded runs until interrupted; where the store is a server, only say (and open) the address.

    Args:
        runs: The runs to open at, as for `page`.
        port: The port to listen on, on loopback only; 0 for any free one.
        experiment: The experiment to open; by default the one with the latest run.
        open_browser: Whether to open the address in a browser.
        report: Called with the address.
        note: Called with what is waited for, what else there is to see, and how it is ended.

    Raises:
        ModelError: Nothing is recorded yet, or there is no such experiment or run.
        P2pkitError: The port is taken, or MLflow's server does not start.
    """
    if is_server(tracking_uri()):
        _present(pages(runs, experiment), open_browser, report, note)
        return
    found = pages(runs, experiment, base="")  # before the server is started: an error comes at once
    note("starting MLflow's server, which takes some seconds ...")
    with suppress(KeyboardInterrupt), _termination_interrupts(), server(port) as (base, process):
        _present(tuple(base + each if each else "" for each in found), open_browser, report, note)
        note("it runs until you press Ctrl-C")
        process.wait()
        raise P2pkitError(Problem("", f"MLflow's server ended by itself, with code {process.returncode}"))


@contextmanager
def server(port: int = PORT) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run MLflow's server on loopback as a process of its own, for as long as the context lasts.

    Args:
        port: The port; 0 for any free one.

    Yields:
        The server's address, at which it answers, and its process.

    Raises:
        ModelError: There is no store yet.
        P2pkitError: The port is taken, or the server does not start.
    """
    uri = tracking_uri()
    check_exists(uri)
    port = _free_port(port)
    base = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", _absolute(uri)]
    database = database_file(uri)
    if database is not None:  # experiments made in the interface then keep files where those of training do
        command += ["--no-serve-artifacts", "--default-artifact-root", str(database.parent / FILES)]
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory(prefix="p2pkit-ui-") as empty:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=empty,  # uvicorn imports from the folder it is started in, safe path or not
            env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
            start_new_session=True,  # so that Ctrl-C comes here, and the server is told once
        )
        try:
            _await(base, process, log)
            yield base, process
        finally:
            _stop(process)


def _present(
    found: tuple[str, ...], open_browser: bool, report: Callable[[str], None], note: Callable[[str], None]
) -> None:
    address, means = found
    report(address)
    if means:
        note(f"means over seeds: {means}")
    if open_browser:
        webbrowser.open(address)


def _await(base: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=5):  # a URLError too; ours  # nosec B310
            return
        time.sleep(0.1)
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    cause = "MLflow's server did not start" + "".join(f"\n  {line}" for line in said[-8:])
    raise P2pkitError(Problem("", cause))


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let SIGTERM end the server as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers nowhere else
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            remedy = "choose another: p2pkit ui --port " + str(_free_port(0))
            raise P2pkitError(Problem("", f"port {port} can't be used: {error.strerror}", remedy)) from None
        return int(probe.getsockname()[1])


def _absolute(uri: str) -> str:
    """Return a store's address as a process in another folder has to write it."""
    database = database_file(uri)
    if database is not None:
        return SQLITE + str(database).replace("%", "%25")
    return uri if ":" in uri else str(Path(uri).absolute())
