"""One sweep in a store of its own, one `p2pkit ui` on it, and Chromium; nothing of it is left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).parent))  # tests import what stands beside them

PICTURES = "P2PKIT_SCREENSHOTS"
"""Names a folder; then the sweep is the tutorial's, and each test leaves a picture there."""

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "compare-loss-weights.md"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars"
)
COUNT_STROKES = """
const {stroke, clearRect} = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.clearRect = function (...where) {
  this.canvas.strokes = 0;
  return clearRect.apply(this, where);
};
CanvasRenderingContext2D.prototype.stroke = function (...path) {
  this.canvas.strokes = (this.canvas.strokes || 0) + 1;
  return stroke.apply(this, path);
};
"""


@dataclass(frozen=True)
class Swept:
    """A sweep that was recorded.

    Args:
        folder: The working folder it was recorded in.
        names: What its runs are called in MLflow, in order.
        folders: Their folders, in order.
        keys: What differs.
        weights: The values of the last key.
    """

    folder: Path
    names: tuple[str, ...]
    folders: tuple[str, ...]
    keys: tuple[str, ...]
    weights: tuple[int, ...]

    def id(self, index: int) -> str:
        """Return MLflow's id of a run."""
        return (self.folder / "runs" / "weights" / self.folders[index] / "mlflow.id").read_text().strip()


def _planned(folder: Path) -> Swept:
    """Return what a sweep will hold: the tutorial's, or two keys, of which the first leaves its term out once."""
    gans, weights = ((1,), (1, 10, 100)) if PICTURES in os.environ else ((0, 1), (10, 100))
    points = [(gan, weight, seed) for gan in gans for weight in weights for seed in (0, 1)]
    several = len(gans) > 1
    names = [f"{f'gan {gan} ' * several}l1 {weight} seed {seed}" for gan, weight, seed in points]
    folders = [f"{f'gan.weight={gan}_' * several}l1.weight={weight}_seed={seed}" for gan, weight, seed in points]
    keys = ("losses.gan.weight", "losses.l1.weight")[not several :]
    return Swept(folder, tuple(names), tuple(folders), keys, weights)


def config(tiny: dict) -> dict:
    """The config of the sweep: a tiny one, or the tutorial's."""
    if PICTURES not in os.environ:
        evaluate = {**tiny["evaluate"], "metrics": ["l1", "psnr"], "every": 1}
        tracking = {"experiment": "weights", "system_metrics": False, "portable": False, "register": "best of weights"}
        checkpoint = {"every": 1, "keep": 1, "best": "l1"}  # the first of a run is removed unless it is its best
        return {**tiny, "evaluate": evaluate, "tracking": tracking, "checkpoint": checkpoint}
    text = TUTORIAL.read_text(encoding="utf-8")
    return yaml.safe_load(text.partition("# run.yaml\n")[2].partition("```")[0])


@pytest.fixture(scope="session")
def swept(tiny, tmp_path_factory, _new_store, warm) -> Swept:
    """The sweep `weights`, recorded by a process of its own."""
    planned = _planned(tmp_path_factory.mktemp("swept"))
    shutil.copy2(_new_store, planned.folder / "mlflow.db")
    (planned.folder / "run.yaml").write_text(yaml.safe_dump(config(tiny)))
    axes = [f"losses.l1.weight={','.join(map(str, planned.weights))}"]
    axes = ["losses.gan.weight=0,1", *axes] if len(planned.keys) > 1 else axes
    sweep = ["sweep", "run.yaml", *axes, "--seeds", "2", "--name", "weights", "-q"]
    done = warm.run([sys.executable, "-m", "p2pkit", *sweep], cwd=planned.folder, env=environment())
    assert done.returncode == 0, done.stderr
    assert "mlflow   p2pkit ui runs/weights" in done.stdout
    return planned


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}


@pytest.fixture(scope="module")  # and no longer, since the open page keeps asking
def ui(swept, warm) -> Iterator[str]:
    """The address that `p2pkit ui weights` prints, while it runs; what it says and leaves is looked at in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "p2pkit", "ui", "weights", "--no-browser", "--port", str(port)]
    process = warm(
        command, cwd=swept.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield address
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "starting MLflow's server, which takes some seconds ..." in said
    assert "means over seeds: http://" in said
    assert "it runs until you press Ctrl-C" in said
    with socket.socket() as probe:  # its server is gone too
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def browser(tmp_path_factory, ui):
    """Chromium as of a user who has closed MLflow's assistant, which opens itself once; it counts lines on canvases."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}: apt-get install chromium chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = found["chromium"]
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--window-size=1440,1500"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(found["chromedriver"]))
    driver.set_script_timeout(300)  # a page with many charts keeps a slow machine busy
    service = driver.service.process
    try:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNT_STROKES})
        driver.get(f"{ui.partition('#')[0]}#/settings")
        deadline = time.monotonic() + 90
        while "MLflow" not in driver.title and time.monotonic() < deadline:
            time.sleep(0.2)
        driver.execute_script(
            "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');"
            "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')"
        )
        yield driver
    finally:
        driver.quit()
        assert service is None or service.wait(20) is not None
