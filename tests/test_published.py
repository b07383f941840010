"""Published data sets, from a server on this machine that breaks off, lies, and sends what no data set holds."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from p2pkit import DataError
from p2pkit.published import PUBLISHED, fetch

FILES = {"facades/train/1.jpg": b"one" * 50_000, "facades/val/1.jpg": bytes(range(256)) * 300}


def packed(files: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda info: None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        start = 0
        if server.status != 200:
            self.send_error(server.status)
            return
        if self.headers.get("Range") and self.headers.get("If-Range") == server.tag:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(body[: server.breaks.pop(0)] if server.breaks else body)

    def log_message(self, *said):
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.tag, server.status = packed(FILES), '"a"', 200
        server.asked, server.breaks = [], []
        server.address = f"http://127.0.0.1:{server.server_port}/facades.tar.gz"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def read(folder) -> dict[str, bytes]:
    return {f"facades/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in folder.rglob("*.jpg")}


def test_it_is_fetched_and_unpacked_without_its_outer_folder(server, tmp_path):
    seen = []
    found = fetch(
        "facades", tmp_path / "f", address=server.address, report=lambda done, total: seen.append((done, total))
    )
    assert found == hashlib.sha256(server.content).hexdigest()
    assert read(tmp_path / "f") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert seen[-1] == (len(server.content), len(server.content))
    with pytest.raises(DataError, match="is there already"):
        fetch("facades", tmp_path / "f", address=server.address)


def test_a_line_that_breaks_is_gone_on_with_at_once(server, tmp_path):
    server.breaks = [10_000, 50_000]
    fetch("facades", tmp_path / "f", address=server.address, sha256=hashlib.sha256(server.content).hexdigest())
    assert server.asked == [None, "bytes=10000-", "bytes=60000-"]
    assert read(tmp_path / "f") == FILES


def test_the_next_call_goes_on_but_not_with_another_file(server, tmp_path):
    server.breaks = [10_000, *[0] * 4]
    with pytest.raises(DataError, match=r"can't be fetched: the line broke(.|\n)*goes on from where it broke"):
        fetch("facades", tmp_path / "f", address=server.address)
    assert not (tmp_path / "f").exists()
    server.asked.clear()
    fetch("facades", tmp_path / "f", address=server.address)
    assert server.asked == ["bytes=10000-"]
    server.breaks = [10_000, *[0] * 4]
    with pytest.raises(DataError):
        fetch("facades", tmp_path / "g", address=server.address)
    server.content, server.tag = packed({"facades/train/2.jpg": b"new"}), '"b"'
    fetch("facades", tmp_path / "g", address=server.address)
    assert read(tmp_path / "g") == {"facades/train/2.jpg": b"new"}


def test_another_checksum_is_refused_and_thrown_away(server, tmp_path):
    with pytest.raises(DataError, match="has the SHA-256"):
        fetch("facades", tmp_path / "f", address=server.address, sha256="0" * 64)
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    assert not (tmp_path / "f").exists()


def link(info: tarfile.TarInfo) -> None:
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc", 0


@pytest.mark.parametrize(
    "content",
    [
        packed({"facades/../../out.jpg": b"x"}),
        packed({"facades/train/1.jpg": b""}, link),
        packed({}),
        b"no archive",
        packed(FILES)[:5000],
    ],
    ids=["outside", "link", "empty", "garbage", "cut"],
)
def test_what_is_no_archive_of_a_data_set_is_refused(content, server, tmp_path):
    server.content = content
    with pytest.raises(DataError, match="is no archive of a data set"):
        fetch("facades", tmp_path / "in" / "f", address=server.address)
    assert not (tmp_path / "in" / "f").exists()
    assert not list(tmp_path.rglob("*.jpg"))


@pytest.mark.parametrize(("status", "times"), [(404, 1), (503, 1)])
def test_a_server_that_refuses_is_named(status, times, server, tmp_path):
    server.status = status
    with pytest.raises(DataError, match=f"the server answers {status}"):
        fetch("facades", tmp_path / "f", address=server.address)
    assert len(server.asked) == times
    with pytest.raises(DataError, match="neither an http nor an https"):
        fetch("facades", tmp_path / "f", address=f"file://{tmp_path}")


def test_addresses_are_the_authors():
    assert PUBLISHED["maps"].address == "https://efrosgans.eecs.berkeley.edu/pix2pix/datasets/maps.tar.gz"
    assert {each.direction for each in PUBLISHED.values()} == {"a_to_b", "b_to_a"}
