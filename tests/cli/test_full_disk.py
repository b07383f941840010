"""Commands whose files a disk refuses: one sentence that names the file, exit code 2, and nothing half written."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from p2pkit import cli

TOLD = r"no space left|read-only|MB are free"


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_every_command_tells_a_disk_that_refuses(p2pkit, tiny, small_disk, state):
    disk, settings = small_disk.path, ("-q", "-s", f"tracking.folder={small_disk.path}/runs")
    trained = p2pkit("train", tiny, *settings, "-s", "tracking.name=a")
    assert trained.code == 0, trained.err
    run = disk / "runs" / "a"
    small_disk.fill()
    if state == "read-only":
        small_disk.lock()
    before = sorted(path for path in disk.rglob("*") if path.is_file() and path.name != ".lock")
    commands = {
        disk / "runs" / "b": ("train", tiny, *settings, "-s", "tracking.name=b"),
        run: ("train", "--resume", run, "-q", "-s", "schedule.epochs=3"),
        run / "evaluations": ("evaluate", run, "-q"),
        disk / "shards": ("data", "shard", tiny, disk / "shards"),
        disk / "page.html": ("compare", run, "--html", disk / "page.html"),
        disk / "sheet.png": ("compare", run, "--sheet", disk / "sheet.png"),
        disk / "plots": ("compare", run, "--plots", disk / "plots"),
    }
    for path, command in commands.items():
        told = p2pkit(*command)
        assert told.code == 2, (command, told.err)
        assert "Traceback" not in told.err
        assert str(path) in told.err
        assert re.search(TOLD, told.err), told.err
    left = sorted(path for path in disk.rglob("*") if path.is_file() and path.name != ".lock")
    assert left == before


def test_a_full_disk_is_no_unforeseen_error_whoever_is_told_first(p2pkit, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "somewhere/file")

    monkeypatch.setattr(cli, "app", full)
    told = p2pkit("list")
    assert (told.code, told.err.splitlines()[1]) == (2, "  somewhere/file: can't be written: no space left on device")


def test_a_name_that_is_too_long_is_no_unforeseen_error(p2pkit, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for command in (("translate", "demo", "a.png", "-o", "x" * 300), ("translate", "demo", "x" * 300, "-o", "fakes")):
        told = p2pkit(*command)
        assert (told.code, told.err.splitlines()[1]) == (2, f"  {'x' * 300}: is too long a name for a file here")
