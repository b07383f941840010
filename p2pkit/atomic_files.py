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
        remove_folder(path)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _sync(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder that is there whole or not at all, also where the process ends in the middle."""
    if path.exists():
        trash = path.with_name(f".{path.name}.trash")
        shutil.rmtree(trash, ignore_errors=True)
        path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def sweep_leftovers(folder: Path) -> None:
    """Remove what processes that were killed have left in a folder half written or half removed."""
    for path in (*folder.glob(".*.trash"), *folder.glob(".*.partial")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
