"""The command, from its start to its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from p2pkit.errors import P2pkitError
from p2pkit.serving.server import Listener


def test_the_command_serves_until_it_is_told_to_end(run, tmp_path, warm):
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    command = [sys.executable, "-m", "p2pkit", "serve", f"mine={run.folder}", "--port", "0", "--device", "cpu"]
    process = warm(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}/models", timeout=60) as answer:
            assert b'"mine"' in answer.read()
        os.kill(process.pid, signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "models: mine" in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(P2pkitError, match=f"127.0.0.1:{port} can't be used"):
            Listener("127.0.0.1", port)


def test_what_is_answered_in_two_pieces_is_sent_at_once():
    """Else the second waits 40 ms for the first one's receipt."""
    listener = Listener("127.0.0.1", 0)
    with listener.socket, socket.create_connection((listener.host, listener.port)):
        accepted, _ = listener.socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_who_can_reach_an_address():
    for host, loopback in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):
        listener = Listener(host, 0)
        with listener.socket:
            assert listener.loopback is loopback
            assert listener.address == f"http://{host}:{listener.port}"
