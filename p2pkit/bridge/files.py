"""Read the tensors of a file that somebody else wrote; nothing in it is ever run."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from p2pkit.errors import ModelError, Problem

_WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before the keys."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict.

    Args:
        path: A safetensors file, or one that torch.save wrote: of tensors, or with them under `state_dict`.

    Returns:
        The tensors by their keys, without what DataParallel and torch.compile put before these.

    Raises:
        ModelError: The file can't be read, or holds anything but tensors and plain values.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelError(Problem(str(path), f"can't be read: {error.strerror}")) from None
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except (SafetensorError, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:  # cut files give all
        raise ModelError(_unreadable(path, start, error)) from None
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not (isinstance(state, Mapping) and state and all(isinstance(value, Tensor) for value in state.values())):
        cause = f"holds {_described(state)}, where a network's tensors by name are wanted"
        raise ModelError(Problem(str(path), cause, "save the network's state_dict() alone"))
    return {_unwrapped(str(key)): value for key, value in state.items()}


def sha256(path: Path) -> str:
    """Return a file's checksum in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _unreadable(path: Path, start: bytes, error: Exception) -> Problem:
    """Say whether a file holds code, which is refused, or is damaged, or is no checkpoint at all."""
    code = re.search(r"(?:GLOBAL|instantiate class) (\S+)", str(error))
    if code:
        cause = f"holds more than tensors ({code[1]}), which could run code, so nothing of it was loaded"
        remedy = "where you trust its source, load it there and save the network's state_dict() alone"
        return Problem(str(path), cause, remedy)
    if start.lstrip().startswith(b"<"):
        return Problem(str(path), "is a web page and no checkpoint", "download the file itself")
    if start.startswith(b"version https"):
        return Problem(str(path), "is a pointer of Git LFS and no checkpoint", "fetch the file by git lfs pull")
    return Problem(str(path), "is damaged or incomplete, or is no checkpoint", "download or copy it again")


def _described(state: Any) -> str:
    if not isinstance(state, Mapping):
        return f"a {type(state).__name__}"
    others = [f"{key} ({type(value).__name__})" for key, value in state.items() if not isinstance(value, Tensor)]
    return ", ".join(others[:4]) if others else "nothing"


def _unwrapped(key: str) -> str:
    while key.startswith(_WRAPPERS):
        key = key.partition(".")[2]
    return key
