"""Runs of sweeps: one epoch, and an evaluation at its end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tiny):
    return {**tiny, "schedule": {"epochs": 1}, "evaluate": {**tiny["evaluate"], "every": 0}}


@pytest.fixture(scope="session")
def postgresql():
    """Start a PostgreSQL of the tests' own on the loopback address; return its address."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'p2pkit[postgresql]'")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = {"user": "postgres"} if os.getuid() == 0 else {}  # it refuses to be run by root
    with tempfile.TemporaryDirectory(prefix="p2pkit-postgresql-") as name:  # pytest's own folders are for one user
        folder = Path(name)
        if user:
            shutil.chown(folder, **user)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        own = {"cwd": folder, "stdout": subprocess.DEVNULL, **user}
        subprocess.run(
            [programs[-1] / "initdb", "-D", folder / "data", "-U", "p2pkit", "-A", "trust", "-N"], check=True, **own
        )
        options = ["-c", f"port={port}", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        log = (folder / "log").open("w")
        server = subprocess.Popen([programs[-1] / "postgres", "-D", folder / "data", *options], stderr=log, **own)
        ready = [programs[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False, stdout=subprocess.DEVNULL).returncode:
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"postgresql://p2pkit@127.0.0.1:{port}/postgres"
        server.send_signal(signal.SIGINT)  # it waits for nobody's connections
        server.wait()
        log.close()
