"""Sweeps as processes: stopped, killed, gone on with, and shared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from p2pkit.config import SweepConfig
from p2pkit.sweep.storage import open_storage
from p2pkit.sweep.study import Work, load_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # processes start slowly beside other work

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
def start(tmp_path, warm):
    """Start `p2pkit sweep` in a folder where MLflow has no part."""
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(CONFIG))
    started = []

    def start(*arguments, folder=tmp_path):
        folder.mkdir(exist_ok=True)
        (folder / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
        command = [sys.executable, "-m", "p2pkit", "sweep", *arguments, "-q"]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(warm(command, cwd=folder, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def work(folder, address=None, name="s"):
    return Work(load_study(open_storage(address, folder), name), SimpleNamespace(wanted=SweepConfig()), first=False)


def states(work):
    return [child.state for unit in work.units for child in unit]


def runs(folder):
    return sorted(path.parent.name for path in folder.glob("*/run.yaml"))


def left_a_checkpoint(folder):
    return lambda: any(folder.glob("*/checkpoints/step-*"))


def test_a_signal_stops_a_sweep_that_then_goes_on(start, tmp_path):
    first = start("run.yaml", "-s", "schedule.epochs=400", "--name", "s")
    folder = tmp_path / "runs" / "s"
    until(left_a_checkpoint(folder))
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=800)
    assert first.returncode == 143, err
    assert "go on with: p2pkit sweep --resume runs/s" in out
    assert states(work(folder)) == ["waiting"] * 4
    assert not work(folder).busy
    before = runs(folder)
    resumed = start("--resume", "s", "-s", "schedule.epochs=1")  # what is left is shortened, so that the test ends soon
    out, err = resumed.communicate(timeout=800)
    assert resumed.returncode == 0, err
    assert states(work(folder)) == ["finished"] * 4
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
        _, err = helper.communicate(timeout=800)
        assert helper.returncode == 0, err
    ends = [trial.state.name for trial in work(folder).study.trials]
    assert states(work(folder)) == ["finished"] * 4
    assert runs(folder) == sorted(child.folder for unit in work(folder).units for child in unit)
    assert ends[:5] == ["FAIL", *["COMPLETE"] * 4]  # the dead one's came back at the end
    assert set(ends[5:]) <= {"FAIL"}  # where both brought it back, one has done it
    assert os.path.getsize(folder / "sheet.png") > 0
    assert (folder / "table.csv").read_text().count("\n") == 5


def test_three_in_three_folders_share_a_database_and_lose_and_double_nothing(start, tmp_path, postgresql):
    where = ["-s", f"sweep.storage={postgresql}"]
    folders = [tmp_path / name for name in ("one", "two", "three")]
    long = ["-s", "schedule.epochs=4000"]  # the others shorten it, so that the test ends soon
    doomed = start(str(tmp_path / "run.yaml"), "--name", "s", *where, *long, folder=folders[0])
    until(left_a_checkpoint(folders[0] / "runs" / "s"))
    short = ["-s", "schedule.epochs=4"]
    helpers = [start("--join", "s", *where, *short, folder=folder) for folder in folders[1:]]
    until(lambda: any(runs(folder / "runs" / "s") for folder in folders[1:]))
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    for helper in helpers:
        _, err = helper.communicate(timeout=800)
        assert helper.returncode == 0, err
    shared = work(tmp_path, postgresql)
    children = [child for unit in shared.units for child in unit]
    assert [child.state for child in children] == ["finished"] * 4
    made = sorted(path.parent for folder in folders for path in folder.glob("runs/s/*/run.yaml"))
    assert made == sorted(Path(child.home, child.folder) for child in children)  # each run once
    assert [trial.state.name for trial in shared.study.trials].count("COMPLETE") == 4
    tables = [folder / "runs" / "s" / "table.csv" for folder in folders[1:]]
    assert any(table.is_file() and table.read_text().count("\n") == 5 for table in tables)


@pytest.mark.long
def test_of_an_executor_s_workers_one_is_killed_and_nothing_is_lost_or_doubled(start, tmp_path):
    on = ["--on", "local", "-s", "executor.params.processes=2", "-s", "schedule.epochs=60"]
    process = start("run.yaml", "--name", "s", *on)
    folder = tmp_path / "runs" / "s"
    until(left_a_checkpoint(folder))
    held = [trial.user_attrs.get("holder") for trial in work(folder).study.trials if trial.state.name == "RUNNING"]
    os.kill(next(holder[1] for holder in held if holder), signal.SIGKILL)
    _, err = process.communicate(timeout=800)
    assert process.returncode == 0, err
    assert "has lost its worker" in err
    assert states(work(folder)) == ["finished"] * 4
    assert runs(folder) == sorted(child.folder for unit in work(folder).units for child in unit)
    assert sorted(trial.state.name for trial in work(folder).study.trials) == ["COMPLETE"] * 4 + ["FAIL"]
