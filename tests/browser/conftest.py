"""A sweep in a store of its own, `p2pkit ui` on it, and Chromium; nothing of it is left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from p2pkit.mlflow_ui.server import serve

PICTURES = "P2PKIT_SCREENSHOTS"
"""Names a folder; then the sweep is one worth looking at, and each test leaves a picture there."""

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "compare-loss-weights.md"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars"
)


def config(tiny: dict) -> dict:
    """The config of the sweep: a tiny one, or the tutorial's."""
    if PICTURES not in os.environ:
        evaluate = {**tiny["evaluate"], "metrics": ["l1", "psnr"], "every": 1}
        tracking = {"experiment": "weights", "system_metrics": False, "model": False}
        return {**tiny, "evaluate": evaluate, "tracking": tracking}
    text = TUTORIAL.read_text(encoding="utf-8")
    return yaml.safe_load(text.partition("# run.yaml\n")[2].partition("```")[0])


@pytest.fixture(scope="session")
def swept(tiny, tmp_path_factory, _new_store) -> Path:
    """A working folder in which the sweep `weights` was recorded, by a process of its own."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy2(_new_store, folder / "mlflow.db")
    (folder / "run.yaml").write_text(yaml.safe_dump(config(tiny)))
    sweep = ["sweep", "run.yaml", "losses.l1.weight=1,10,100", "--seeds", "2", "--name", "weights", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "p2pkit", *sweep],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mlflow   p2pkit ui runs/weights" in done.stdout
    return folder


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}


@pytest.fixture(scope="session")
def printed(swept) -> Iterator[str]:
    """Run `p2pkit ui weights`, whose server all tests look at; yields the address that it prints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "p2pkit", "ui", "weights", "--no-browser", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=swept, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield address
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    with socket.socket() as probe:  # its server is gone too
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def ui(swept, printed, monkeypatch) -> Callable[..., str]:
    """Say what address `p2pkit ui RUNS` prints where that server is the store."""
    monkeypatch.chdir(swept)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", printed.partition("/#/")[0])

    def address(*runs: str) -> str:
        found: list[str] = []
        serve(runs, open_browser=False, report=found.append)
        return found[0]

    return address


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium, driven; with a profile that is new."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}: apt-get install chromium chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = found["chromium"]
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--window-size=1400,1500"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(found["chromedriver"]))
    driver.set_script_timeout(180)  # a page takes long where other tests share the cores
    service = driver.service.process
    try:
        yield driver
    finally:
        driver.quit()
        assert service is None or service.wait(20) is not None
