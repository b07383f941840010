"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from p2pkit import StorageError
from p2pkit.atomic_files import _exchange, atomic_file, atomic_folder


def test_a_file_is_there_once_it_is_whole(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("old")
    with atomic_file(file) as partial:
        partial.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_file_that_could_not_be_written_leaves_the_old_one(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("old")
    with pytest.raises(StorageError, match="no such file"), atomic_file(file) as partial:
        partial.with_name("absent").rename(partial)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("name", [".", "..", "/", "inside"])
def test_a_folder_is_no_file_to_write(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inside").mkdir()
    with pytest.raises(StorageError, match="it is a folder"), atomic_file(Path(name)):
        raise AssertionError("nothing is written")


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    folder = tmp_path / "step-1"
    for content in ("old", "new"):
        with atomic_folder(folder) as partial:
            (partial / "inside").mkdir()
            (partial / "inside" / content).write_text(content)
    assert os.listdir(folder / "inside") == ["new"]
    assert os.listdir(tmp_path) == ["step-1"]


def test_at_no_moment_is_neither_the_old_folder_nor_the_new_one_there(tmp_path, monkeypatch):
    """A process may be killed at any."""
    folder, act = tmp_path / "step-1", Path.rename
    folder.mkdir()
    if not _exchange(tmp_path, tmp_path):
        pytest.skip("this system can't let two folders change names")

    def watched(path, to):
        moved = act(path, to)
        assert folder.is_dir()
        return moved

    monkeypatch.setattr(Path, "rename", watched)
    with atomic_folder(folder) as partial:
        (partial / "new").touch()
    assert os.listdir(folder) == ["new"]
    assert os.listdir(tmp_path) == ["step-1"]


def test_where_folders_can_not_change_names_one_still_takes_the_others_place(tmp_path, monkeypatch):
    monkeypatch.setattr("p2pkit.atomic_files._exchange", lambda *_: False)
    test_a_folder_takes_the_place_of_the_old_one(tmp_path)


def test_a_folder_that_could_not_be_filled_leaves_the_old_one(tmp_path):
    folder = tmp_path / "step-1"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(FileNotFoundError), atomic_folder(folder) as partial:
        (partial / "absent").rename(partial / "new")
    assert os.listdir(folder) == ["old"]
    assert os.listdir(tmp_path) == ["step-1"]


KILLED = """\
import os, signal
from pathlib import Path
from p2pkit.atomic_files import atomic_folder
with atomic_folder(Path("out")) as partial:
    (partial / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == [".out.partial"]
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "whole").touch()
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["whole"]
