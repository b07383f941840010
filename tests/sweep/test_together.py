"""Sweeps as processes: stopped, killed, gone on with, and shared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from p2pkit.sweep.store import Store

pytestmark = pytest.mark.slow

CONFIG = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 8}},
    "generator": "unet_tiny",
    "losses": {"l1": 100},
    "schedule": {"epochs": 12},
    "engine": {"batch": 4, "device": "cpu"},
    "evaluate": {"metrics": ["l1"], "samples": 2, "every": 0, "baselines": False},
    "checkpoint": {"every": 1},
    "sweep": {"axes": {"optimizers.generator.lr": [1e-4, 2e-4, 3e-4, 4e-4]}},
}


@pytest.fixture
def start(tmp_path):
    """Start `p2pkit sweep` in a folder where MLflow has no part."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(CONFIG))
    started = []

    def start(*arguments):
        command = [sys.executable, "-m", "p2pkit", "sweep", *arguments, "-q"]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(condition, seconds=140):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(folder):
    return sorted(path.parent.name for path in folder.glob("*/run.yaml"))


def left_a_checkpoint(folder):
    return lambda: any(folder.glob("*/checkpoints/step-*"))


def test_a_signal_stops_a_sweep_that_then_goes_on(start, tmp_path):
    first = start("run.yaml", "-s", "schedule.epochs=400", "--name", "s")
    folder = tmp_path / "runs" / "s"
    until(left_a_checkpoint(folder))
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=200)
    assert first.returncode == 143, err
    assert "go on with: p2pkit sweep --resume runs/s" in out
    store = Store(folder)
    data = json.loads((folder / "sweep.json").read_text())
    data["config"]["schedule"]["epochs"] = 1  # what is left is shortened, so that the test ends soon
    (folder / "sweep.json").write_text(json.dumps(data))
    states = [child.state for unit in store.units for child in store.children(unit)]
    assert "waiting" in states
    assert not store.busy()
    before = runs(folder)
    resumed = start("--resume", "s", "-s", "schedule.epochs=1")
    out, err = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, err
    assert all(child.state == "finished" for unit in store.units for child in store.children(unit))
    assert set(before) < set(runs(folder))
    assert len(runs(folder)) == 4  # the interrupted run went on in its folder


def test_two_share_the_work_and_one_takes_over_from_the_dead(start, tmp_path):
    folder = tmp_path / "runs" / "s"
    doomed = start("run.yaml", "--name", "s")
    until(left_a_checkpoint(folder))
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    helpers = [start("--join", "s"), start("--join", str(folder))]
    for helper in helpers:
        _, err = helper.communicate(timeout=200)
        assert helper.returncode == 0, err
    store = Store(folder)
    children = [child for unit in store.units for child in store.children(unit)]
    assert [child.state for child in children] == ["finished"] * 4
    assert runs(folder) == sorted(child.folder for child in children)
    claims = {unit: len(list((folder / "progress").glob(f"{unit:04}.claim-*"))) for unit in store.units}
    assert claims[0] == 2  # the dead process's and the one that took over
    assert os.path.getsize(folder / "sheet.png") > 0
    assert (folder / "table.csv").read_text().count("\n") == 5
