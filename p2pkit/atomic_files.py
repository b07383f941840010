"""Files and folders that are there whole or not at all, whenever a process ends: written aside, synced, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a name to write a file under; it gets its own, in place of a file of before, once it is whole.

    Args:
        path: The file; a reader sees the old one or the new one, never half of it.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # others may write the same file
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it gets its own name, in place of a folder of before, once it is whole.

    Args:
        path: The folder. What a process that was killed has left aside is removed by the next one.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for each in (*partial.rglob("*"), partial):
            _sync(each)
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
