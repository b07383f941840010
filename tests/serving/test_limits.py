"""What a server does not do, and what a client that misbehaves costs others."""

from __future__ import annotations

import socket
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from p2pkit.serving.settings import Settings


def test_a_large_body_is_refused_before_it_is_read(models, served, content):
    with served(models, Settings(max_bytes=1000)) as client:
        got = client.translate(b"x" * 2000)
        assert (got.status, got.json["where"]) == (413, "body")
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as open_:  # no length is told before
            head = "POST /models/first/translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            open_.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"7d0\r\n" + b"x" * 2000 + b"\r\n")
            assert open_.recv(100).startswith(b"HTTP/1.1 413")


def test_a_large_image_is_refused_before_it_is_unpacked(models, served):
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with served(models) as client:
        got = client.translate(bomb)
    assert got.status == 413
    assert "--max-pixels" in got.json["detail"]


def test_a_client_that_asks_too_often_is_told_when_to_come_back(models, served, content):
    with served(models, Settings(rate=0.001)) as client:
        first, second = client.translate(content), client.translate(content)
        assert client.ask("GET", "/health").status == 200
    assert (first.status, second.status, second.headers["retry-after"]) == (200, 429, "1")


def test_too_many_at_a_time_are_refused(models, served, content):
    with served(models, Settings(in_flight=1)) as client:
        with socket.create_connection(("127.0.0.1", client.port)) as slow:
            slow.sendall(b"POST /models/first/translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
            slow.sendall(b"Content-Length: 100\r\n\r\nx")
            while client.ask("GET", "/health").status != 429:  # until the server has seen the other one
                pass
        while client.ask("GET", "/health").status != 200:  # and until it has seen it go
            pass


def test_a_body_that_does_not_come_is_not_waited_for(models, served):
    with (
        served(models, Settings(patience=0.05)) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=20) as slow,
    ):
        slow.sendall(b"POST /models/first/translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        slow.sendall(b"Content-Length: 100\r\n\r\nx")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_clients_that_hang_up_or_send_garbage_cost_nobody_else(client, models, content, drawing):
    wanted = models["first"].translator.translate(drawing)
    head = b"POST /models/first/translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    whole = head + f"Content-Length: {len(content)}\r\n\r\n".encode() + content

    def bad(number: int) -> None:
        with socket.create_connection(("127.0.0.1", client.port)) as hung:
            hung.sendall([whole, whole[:-50], b"\x00\xff garbage \r\n\r\n"][number % 3])

    with ThreadPoolExecutor(8) as pool:
        good = [pool.submit(client.translate, content, accept="application/x-npy") for _ in range(9)]
        wait = [pool.submit(bad, number) for number in range(9)]
        for each in good:
            np.testing.assert_array_equal(each.result().array, wanted)
        for each in wait:
            each.result()
    assert not [thread for thread in threading.enumerate() if not thread.is_alive()]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80"])
def test_other_names_of_loopback_are_refused(host, client):
    got = client.ask("GET", "/models", host=host)
    assert (got.status, got.kind, got.json["where"]) == (400, "application/problem+json", "header.host")
    assert host in got.json["detail"]
    assert "default-src 'none'" in got.headers["content-security-policy"]
    assert client.ask("GET", "/models", host=f"localhost:{client.port}").status == 200


def test_other_pages_can_read_nothing(client):
    got = client.ask("GET", "/models", origin="https://evil.example")
    assert not [name for name in got.headers if name.startswith("access-control")]
    assert client.ask("OPTIONS", "/models/first/translate", origin="https://evil.example").status == 405
    page = client.ask("GET", "/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
