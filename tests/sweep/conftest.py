"""Runs of sweeps: one epoch, and an evaluation at its end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tiny):
    return {**tiny, "schedule": {"epochs": 1}, "evaluate": {**tiny["evaluate"], "every": 0}}


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    """Start a PostgreSQL of the test's own on the loopback address; return its address."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'p2pkit[postgresql]'")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = {"user": "postgres"} if os.getuid() == 0 else {}  # it refuses to be run by root
    folder = tmp_path_factory.mktemp("postgresql")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    if user:
        shutil.chown(folder, "postgres")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    data, quiet = folder / "data", {"check": True, "capture_output": True, "cwd": folder, **user}
    subprocess.run([programs[-1] / "initdb", "-D", data, "-U", "p2pkit", "-A", "trust", "-N"], **quiet)
    options = ["-c", f"port={port}", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    server = subprocess.Popen(
        [programs[-1] / "postgres", "-D", data, *options], stderr=subprocess.DEVNULL, cwd=folder, **user
    )
    ready = [programs[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ready, check=False, capture_output=True).returncode:
        assert server.poll() is None
        time.sleep(0.1)
    yield f"postgresql://p2pkit@127.0.0.1:{port}/postgres"
    server.send_signal(signal.SIGINT)  # it waits for nobody's connections
    server.wait()
