"""What the page on serving shows, done with a real server on loopback that can't import p2pkit."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import blocks, source
from PIL import Image

import p2pkit

PAGE = "how-to/serve-a-model-with-mlflow.md"
CONFIG = {
    "dataset": {"use": "shapes", "params": {"size": 32, "count": 8}},
    "generator": "unet_tiny",
    "losses": {"l1": 100},
    "schedule": {"steps": 2},
    "engine": {"batch": 4, "device": "cpu"},
    "evaluate": {"metrics": ["l1"], "samples": 1},
    "tracking": {"register": "emoji", "system_metrics": False},
}
NO_P2PKIT = """
import importlib.abc, sys

class Nowhere(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "p2pkit":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nowhere())
"""


@pytest.fixture
def served(mlflow_here: Path, quiet: Any, registry: Any) -> Iterator[tuple[p2pkit.TrainedRun, str]]:
    """A run whose model is served, and the server's port."""
    run = p2pkit.train(CONFIG, registry=registry)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    site = mlflow_here / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NO_P2PKIT)
    (line,) = [line for line in source(PAGE).splitlines() if line.startswith("$ mlflow models serve")]
    command = line.removeprefix("$ mlflow ").replace("5001", port).replace('"', "").split()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    with (mlflow_here / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command],
            cwd=mlflow_here,
            env={**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2):
                break
            assert process.poll() is None, (mlflow_here / "server.log").read_text()
            time.sleep(0.2)
        yield run, port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_a_picture_is_answered_by_curl_and_by_python(
    served: tuple[p2pkit.TrainedRun, str], mlflow_here: Path, registry: Any
) -> None:
    run, port = served
    drawing = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    Image.fromarray(drawing).save("drawing.png")
    wanted = p2pkit.load(run.folder, registry=registry).translate(drawing).astype(int)
    shown = [block for block in blocks(PAGE) if block.language in ("bash", "text")]
    (curl,) = [block.text for block in shown if block.language == "bash"]
    asked, own = [block.text for block in shown if block.language == "text"]
    subprocess.run(["bash", "-e", "-c", curl.replace("5001", port)], check=True)
    made = [np.asarray(Image.open("fake.png"), dtype=int)]
    Path("fake.png").unlink()
    exec(compile(asked.replace("5001", port), PAGE, "exec"), {})
    made.append(np.asarray(Image.open("fake.png"), dtype=int))
    namespace: dict[str, Any] = {}
    exec(compile(own, PAGE, "exec"), namespace)
    Path("own.png").write_bytes(namespace["fake"])
    made.append(np.asarray(Image.open("own.png"), dtype=int))
    assert [int(np.abs(fake - wanted).max()) <= 1 for fake in made] == [True] * 3
    for kind, body, status in (("image/png", b"png", 415), ("application/json", b'{"inputs": ["no picture"]}', 400)):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": kind})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        with refused.value as answer:
            assert answer.code == status
