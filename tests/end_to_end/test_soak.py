"""Long trainings and many translations: memory, handles and threads stay what they are once all is warm.

The long form: `P2PKIT_TEST_SOAK=120 pytest -m long tests/end_to_end/test_soak.py -s`, minutes of training, and as many
of translating. In two minutes little is warm, so that the short form finds what leaks fast alone.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil
import pytest
import yaml

MINUTES = float(os.environ.get("P2PKIT_TEST_SOAK", 2))
TRANSLATE = """
import sys, numpy, p2pkit
model = p2pkit.load(sys.argv[1], device="cpu")
image = numpy.zeros((16, 16, 3), numpy.uint8)
for count in range(10**9):
    model.translate(image)
    if count % 100 == 0:
        print(count, flush=True)
"""


@dataclass(frozen=True)
class Look:
    """What a process held at a moment.

    Args:
        minutes: Since the first look.
        megabytes: Resident memory.
        handles: Open files and sockets.
        threads: Its threads.
    """

    minutes: float
    megabytes: float
    handles: int
    threads: int


def look(process: psutil.Process, begun: float) -> Look:
    with process.oneshot():
        held = process.memory_info().rss / 2**20
        return Look((time.monotonic() - begun) / 60, held, process.num_fds(), process.num_threads())


def growth(looks: list[Look]) -> float:
    """Return megabytes a minute, fitted to the second half: what comes before is warming up."""
    half = looks[len(looks) // 2 :]
    return statistics.linear_regression([x.minutes for x in half], [x.megabytes for x in half]).slope


@pytest.fixture
def watch(mlflow_here):
    """Run a command for some minutes; returns what it held every few seconds, and what it printed last."""

    def run(*command):
        with (mlflow_here / "said.txt").open("w") as said:
            process = subprocess.Popen([sys.executable, *command], cwd=mlflow_here, stdout=said)
        looks, begun, watched = [], time.monotonic(), psutil.Process(process.pid)
        while time.monotonic() - begun < MINUTES * 60:
            time.sleep(2)
            assert process.poll() is None
            looks.append(look(watched, begun))
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        return looks, (mlflow_here / "said.txt").read_text().splitlines()[-1:]

    return run


def hold(what, looks, said=()):
    warm = looks[len(looks) // 2 :]
    rate = growth(looks)
    print(f"{what}: {looks[-1].minutes:.0f} min, {warm[0].megabytes:.1f} to {warm[-1].megabytes:.1f} MB", end=", ")
    print(f"{rate:.3f} MB a minute, {max(x.handles for x in looks)} handles, {looks[-1].threads} threads", *said)
    assert warm[-1].megabytes - warm[0].megabytes < 16
    assert max(x.handles for x in warm) <= max(x.handles for x in looks[: len(looks) // 2]) + 4
    assert max(x.threads for x in warm) <= max(x.threads for x in looks[: len(looks) // 2]) + 1


@pytest.mark.long
@pytest.mark.timeout(int(MINUTES * 120) + 300)
def test_hours_of_training_and_translating_hold_no_more_than_minutes(watch, tiny, mlflow_here):
    config = {
        **tiny,
        "dataset": {"use": "shapes", "params": {"size": 16, "count": 200}},
        "schedule": {"epochs": 10**6},
        "evaluate": {"metrics": ["l1", "psnr", "ssim"], "samples": 4, "every": 10},
        "checkpoint": {"every": 10, "best": "l1"},
        "tracking": {"name": "soak"},
    }
    (mlflow_here / "run.yaml").write_text(yaml.safe_dump({**config, "engine": {**tiny["engine"], "log_every": 50}}))
    looks, _ = watch("-m", "p2pkit", "train", "run.yaml", "-q")
    hold("training", looks)
    looks, done = watch("-c", TRANSLATE, "runs/soak")
    hold("translating", looks, done)
