"""Trains what a list of jobs asks for; test_ddp.py does so itself, and starts this file by torchrun.

A job is {"folder", "config", "resume", "stop"}: the run's folder, its config, a checkpoint to go on from, and the
step in which the last process is sent a signal to leave; the others hear of it in the next one. Each process writes
what it logged. A job {"folder", "evaluate"} scores a run with some changed keys instead.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import p2pkit
from p2pkit.config import load_config, resolve
from p2pkit.engine.check import check
from p2pkit.engine.distributed.collectives import process_group
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent
from p2pkit.registry import load_registry


def train(job, registry, here):
    seen = {}

    def on_step(loop):
        step, seen["status"] = loop.status.progress.step, loop.status
        seen.setdefault("logged", []).append([step, loop.status.latest])
        if step == job["stop"] and here.rank == here.count - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    checked = check(resolve(load_config(job["config"]), registry))
    folder = Path(job["folder"])
    if here.main:
        folder.mkdir(exist_ok=True)
    work = RunSession(checked, registry.plugins, folder, Silent())
    outcome = work.train(Path(job["resume"]) if job["resume"] else None, on_step)
    logged = [each for each in seen["logged"] if each[1]]
    last = seen["status"]
    logged.append([last.progress.step, last.latest])
    (folder / f"logged-{here.rank}.json").write_text(json.dumps(logged))
    return outcome


def main(registry_file, jobs_file, *plugin_files):
    warnings.simplefilter("error")
    registry = load_registry(Path(registry_file), discover=False, plugin_files=[*map(Path, plugin_files)])
    with process_group() as here:
        for job in json.loads(Path(jobs_file).read_text()):
            if "evaluate" in job:
                p2pkit.evaluate(job["folder"], registry=registry, **job["evaluate"])
            else:
                train(job, registry, here)
    left = [name for task in Path("/proc/self/task").glob("*/comm") if "gloo" in (name := task.read_text())]
    assert not left, f"threads of torch's engine outlive it, and may meet an interpreter that is ending: {left}"


if __name__ == "__main__":
    main(*sys.argv[1:])
