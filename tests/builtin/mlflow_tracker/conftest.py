"""Tiny runs, a real server on loopback, and a proxy that misbehaves."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient

import p2pkit

if TYPE_CHECKING:
    from p2pkit.api import TrainedRun
    from p2pkit.registry import Registry

TINY: dict[str, Any] = {
    "summary": "A tiny run.",
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 8}},
    "generator": "unet_tiny",
    "discriminator": "pixel",
    "losses": {"gan": 1, "l1": 100},
    "schedule": {"epochs": 2},
    "engine": {"batch": 4, "log_every": 1, "device": "cpu"},
    "evaluate": {"every": 1, "samples": 2},
    "tracking": {"name": "tiny", "tags": {"team": "shapes"}, "portable": False},
}


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """The config of a tiny run."""
    return TINY


@pytest.fixture(scope="session")
def train(registry: Registry) -> Callable[..., TrainedRun]:
    """Train a tiny run."""
    return lambda **overrides: p2pkit.train(TINY, registry=registry, **overrides)


@pytest.fixture(scope="module")
def trained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _new_store: Path,
    train: Callable[..., TrainedRun],
) -> Iterator[TrainedRun]:
    """A finished run in a folder and a store of its own, for tests that only look; `PORTABLE` is a module's wish."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy2(_new_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        kept = {"checkpoint.every": 1, "checkpoint.keep": 1, "checkpoint.best": "psnr", "tracking.register": "tiny"}
        outcome = train(**{"tracking.portable": getattr(request.module, "PORTABLE", False)}, **kept)
        yield replace(outcome, folder=outcome.folder.absolute(), checkpoint=outcome.checkpoint.absolute())


@pytest.fixture
def tiny_run(tmp_path: Path) -> p2pkit.Run:
    """What the hooks are given of a tiny run."""
    image = p2pkit.ImageSpec(3)
    data = p2pkit.DatasetFacts("shapes", p2pkit.PairSpec(image, image, 16, 16), {"train": 8, "val": 8}, "aa11-bb22")
    config = p2pkit.check(TINY).plan.resolved()
    config["tracking"]["folder"] = str(tmp_path)
    return p2pkit.Run("tiny", "training", tmp_path, config, data, {"torch": "2.11.0+cpu"})


@pytest.fixture(scope="session")
def run_of() -> Callable[[Path], Any]:
    """Return MLflow's record of the run in a folder."""
    return lambda folder: MlflowClient().get_run((folder / "mlflow.id").read_text().strip())


@pytest.fixture(scope="session")
def points() -> Callable[..., Counter]:
    """Count a record's points by name and step."""

    def count(client: MlflowClient, run_id: str) -> Counter:
        names = client.get_run(run_id).data.metrics
        return Counter((name, point.step) for name in names for point in client.get_metric_history(run_id, name))

    return count


class Server:
    """`mlflow server` as a process group that can be killed, frozen and started anew."""

    def __init__(self, folder: Path, start_process: Callable[..., Any]) -> None:
        self.folder, self.start_process = folder, start_process
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "files"]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self.folder / "server.log").open("ab") as log:
            self.process = self.start_process(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                return
            time.sleep(0.2)
        raise TimeoutError((self.folder / "server.log").read_text())

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _new_store: Path, warm: Any) -> Iterator[Server]:
    """A server that answers, and must do so again after each test."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy2(_new_store, folder / "mlflow.db")
    running = Server(folder, warm)
    yield running
    running.kill()


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, unless its mode is `500`, `garbage`, `lost` (done, but not told) or `slow`."""

    daemon_threads = True
    mode = ""

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = behind
        self.uri = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def _pass_on(self) -> None:
        mode = self.server.mode
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if mode in ("500", "garbage"):
            self._answer(500 if mode == "500" else 200, b"<html>try later</html>")
            return
        time.sleep(0.3 if mode == "slow" else 0)
        kept = {key: value for key, value in self.headers.items() if key in ("Content-Type", "Accept")}
        request = urllib.request.Request(self.server.behind + self.path, body or None, kept, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        if mode == "lost":
            self.connection.close()
            return
        self._answer(status, text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def _answer(self, status: int, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before that server."""
    between = Proxy(server.uri)
    yield between
    between.shutdown()
    between.server_close()


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for a store on a machine that others use, but where the waiting itself is tested."""
    if request.module.__name__.rpartition(".")[2] not in (
        "test_outages",
        "test_sender",
        "test_delivery",
        "test_killed",
    ):
        patient = dict.fromkeys(("FINISHED", "FAILED", "KILLED"), (90.0,))
        monkeypatch.setattr("p2pkit.builtin.mlflow_tracker.recorder._WAITING", patient)
