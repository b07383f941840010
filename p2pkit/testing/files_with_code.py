"""Files as an attacker would write them: weights that run code when a pickle is loaded without care."""

from __future__ import annotations

import os
import tempfile
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import torch


class _Trap:
    """What makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def write_traps(folder: Path, mark: Path) -> Iterator[Path]:
    """Write weights that make a folder when they are unpickled, in both of torch's formats and under several names.

    Args:
        folder: Where the files go.
        mark: The folder that is made.

    Yields:
        The files.
    """
    state = {"weight": torch.zeros(2), "trap": _Trap(mark)}
    for name in ("zip.pth", "plain.pth", "plain.pkl", "plain.npy", "zip.safetensors"):
        torch.save(state, folder / name, _use_new_zipfile_serialization=name.startswith("zip"))
        yield folder / name


def runs_code(read: Callable[[Path], object]) -> bool:
    """Tell whether code in a file is run by what reads it.

    Args:
        read: Reads a file, and may fail in whatever way.
    """
    with tempfile.TemporaryDirectory(prefix="p2pkit-testing-") as folder:
        mark = Path(folder, "mark")
        for file in write_traps(Path(folder), mark):
            read(file)
        return mark.exists()


def admits_path(annotation: object) -> bool:
    """Tell whether a parameter of this type may be a file's path."""
    return annotation is Path or any(map(admits_path, typing.get_args(annotation)))
