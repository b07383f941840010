"""Runs of two processes, by torchrun on the CPU; and what torchrun says to a process."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

DEEDS = Path(__file__).with_name("deeds.py")


@pytest.fixture(scope="module")
def torchrun(warm):
    """Run a command by torchrun in two processes, and leave none behind, whatever happens."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    pipes = set()

    def left():
        """Those who can still write where torchrun and its processes write their errors."""
        found = []
        for process in psutil.process_iter():
            with suppress(OSError):  # gone meanwhile, or not ours
                if os.stat(f"/proc/{process.pid}/fd/2").st_ino in pipes:
                    found.append(process)
        return found

    def start(folder, *command, how=("--standalone", "--nproc-per-node", "2"), **variables):
        engine = [sys.executable, "-m", "torch.distributed.run", *map(str, how)]
        process = warm(
            [*engine, *map(str, command)],
            cwd=folder,
            env={**environment, **variables},
            text=True,
            stderr=subprocess.PIPE,
        )
        pipes.add(os.fstat(process.stderr.fileno()).st_ino)
        return process

    def finish(process, timeout=150):
        _, said = process.communicate(timeout=timeout)
        assert left() == []
        return process.returncode, said

    yield start, finish
    for process in left():
        process.kill()


@pytest.fixture(scope="module")
def quiet_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("names") / "registry.yaml"
    file.write_text("plugins: {block: [p2pkit.mlflow]}\n")
    return file


@pytest.fixture
def command(tiny, tmp_path, quiet_file):
    """Write a variation of a run that does a deed; return the command that trains it."""

    def write(what, registry=quiet_file):
        config = {
            **copy.deepcopy(tiny),
            "losses": {"gan": 1, "deed": {"weight": 1e-3, "params": {"what": what}}},
            "schedule": {"epochs": 1000},
            "engine": {"batch": 2, "log_every": 1000, "device": "cpu"},
            "evaluate": {"every": 0, "metrics": ["l1"], "baselines": False},
            "tracking": {"system_metrics": False, "model": False, "name": "run"},
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
        return ["-m", "p2pkit", "train", "run.yaml", "--plugin", DEEDS, "--registry", registry]

    return write
