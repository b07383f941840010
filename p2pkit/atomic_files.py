"""Files and folders that are there whole or not at all, whenever a process ends: written aside, synced, renamed.

This is also the one place where what a disk refuses becomes an error for users.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError

from p2pkit.errors import Problem, StorageError, first_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_SLACK = 2**18


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Context in which files are written, whatever by.

    Args:
        path: What the user knows it as.

    Raises:
        StorageError: The system refuses to.
    """
    try:
        yield
    except StorageError as error:  # of a file in it that has another name for now
        raise StorageError(replace(problem, path=str(path)) for problem in error.problems) from error.__cause__
    except (OSError, SafetensorError) as error:
        raise refusal(path, error) from error


def refusal(path: Path, error: OSError | SafetensorError) -> StorageError:
    """Return the error for users that says why a file can't be written, or why none can be called so."""
    said = re.search(r'code: (\d+).*message: "([^"]*)', str(error))  # safetensors' errors have no number of their own
    number = error.errno if isinstance(error, OSError) else int(said[1]) if said else None
    if number == errno.ENAMETOOLONG:
        return StorageError(Problem(str(path), "is too long a name for a file here", "choose a shorter one"))
    cause = (error.strerror if isinstance(error, OSError) else said[2] if said else "") or first_line(error)
    remedy = "make room on its disk, or choose a folder on another one" if number in _FULL else ""
    remedy = "choose a folder that you may write to" if number in _READ_ONLY else remedy
    return StorageError(Problem(str(path), f"can't be written: {cause[:1].lower()}{cause[1:]}", remedy))


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that a disk is full or can only be read, or has no place for such a name."""
    return isinstance(error, OSError) and error.errno in (*_FULL, errno.EROFS, errno.ENAMETOOLONG)


def require_room(path: Path, size: int) -> None:
    """Make sure that a disk has room for a file or folder before it is written.

    Args:
        path: What will be written.
        size: Its bytes; a little more must be free.

    Raises:
        StorageError: There is not as much.
    """
    there = next(folder for folder in path.absolute().parents if folder.exists())
    free = shutil.disk_usage(there).free
    if free < size + _SLACK:
        cause = f"can't be written: it takes {size / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free"
        raise StorageError(Problem(str(path), cause, "make room on its disk, or choose a folder on another one"))


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a name to write a file under; it gets its own, in place of a file of before, once it is whole.

    Args:
        path: The file; a reader sees the old one or the new one, never half of it. Folders are made.

    Raises:
        StorageError: It can't be written.
    """
    if path.is_dir():
        raise StorageError(Problem(str(path), "can't be written: it is a folder", "name a file"))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # others may write the same file
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
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

    Raises:
        StorageError: It can't be made; what fills it is told by who fills it.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with writing(path):
        partial.mkdir(parents=True)
    try:
        yield partial
        with writing(path):
            for each in (*partial.rglob("*"), partial):
                _sync(each)
            if not _exchange(partial, path):
                remove_folder(path)
                partial.rename(path)
            _sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Let two folders change names, so that neither is away at any moment; tell whether the system could."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    here, both = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return exchange is not None and exchange(here, os.fsencode(first), here, os.fsencode(second), both) == 0


def remove_folder(path: Path) -> None:
    """Remove a folder that is there whole or not at all, also where the process ends in the middle.

    Raises:
        StorageError: It can't be removed.
    """
    if path.exists():
        trash = path.with_name(f".{path.name}.trash")
        shutil.rmtree(trash, ignore_errors=True)
        with writing(path):
            path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def sweep_leftovers(folder: Path) -> None:
    """Remove what processes that were killed have left in a folder half written or half removed."""
    for path in (*folder.glob(".*.trash"), *folder.glob(".*.partial")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def cache_folder() -> Path:
    """Return the folder of what can be made again: P2PKIT_CACHE, else a folder of the user's cache."""
    own = os.environ.get("P2PKIT_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(own) if own else home / "p2pkit"
