"""A tiny run of three channels and one of labels, served on loopback in this process."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

import p2pkit
from p2pkit.serving.models import Served, load_models
from p2pkit.serving.server import Listener, make_server
from p2pkit.serving.settings import Settings


@pytest.fixture(scope="session")
def run(tiny, quiet, tmp_path_factory) -> p2pkit.TrainedRun:
    """A run whose samples and scores a server shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("served"))
        trained = p2pkit.train({**tiny, "schedule": {"steps": 2}}, registry=quiet)
        yield p2pkit.TrainedRun(**{**vars(trained), "folder": trained.folder.resolve()})


@pytest.fixture(scope="session")
def models(run, quiet) -> dict[str, Served]:
    """Two names for it."""
    return load_models([f"first={run.folder}", f"second={run.folder}"], device="cpu", registry=quiet)


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    kind: str
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def array(self) -> np.ndarray:
        return np.load(io.BytesIO(self.body)) if self.kind == "application/x-npy" else np.asarray(self.image)

    @property
    def image(self) -> Image.Image:
        return Image.open(io.BytesIO(self.body))


@dataclass(frozen=True)
class Client:
    """Asks a server; `translate` sends an image to the first model."""

    port: int

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            got = connection.getresponse()
            named = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, named.get("content-type", ""), got.read(), named)
        finally:
            connection.close()

    def translate(self, body: bytes, query: str = "", content_type: str = "image/png", **headers: str) -> Answer:
        return self.ask("POST", f"/models/first/translate{query}", body, content_type=content_type, **headers)


@contextmanager
def running(models: dict[str, Served], settings: Settings | None = None, **options: Any) -> Iterator[Client]:
    """Serve models for a while."""
    listener = Listener("127.0.0.1", 0)
    server = make_server(models, listener, settings, **options)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener.socket]})
    thread.start()
    try:
        yield Client(listener.port)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def client(models) -> Iterator[Client]:
    """A client of a server of both models."""
    with running(models) as client:
        yield client


@pytest.fixture
def served() -> Callable[..., Any]:
    """Serve models by other settings: `with served(models, Settings(rate=1)) as client`."""
    return running


@pytest.fixture(scope="session")
def drawing() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def content(drawing) -> bytes:
    """The drawing as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(drawing).save(buffer, "PNG")
    return buffer.getvalue()
