"""Read the tensors of a file that somebody else wrote; nothing in it is ever run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from p2pkit.errors import ModelError, Problem
from p2pkit.tensor_files import UnreadableTensors, load_tensors

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
        loaded = load_tensors(path)
    except UnreadableTensors as error:
        raise ModelError(Problem(str(path), error.cause, error.remedy)) from None
    state = loaded.get("state_dict", loaded)
    if not (isinstance(state, Mapping) and state and all(isinstance(value, Tensor) for value in state.values())):
        cause = f"holds {_described(state)}, where a network's tensors by name are wanted"
        raise ModelError(Problem(str(path), cause, "save the network's state_dict() alone"))
    return {_unwrapped(str(key)): value for key, value in state.items()}


def sha256(path: Path) -> str:
    """Return a file's checksum in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(state: object) -> str:
    if not isinstance(state, Mapping):
        return f"a {type(state).__name__}"
    others = [f"{key} ({type(value).__name__})" for key, value in state.items() if not isinstance(value, Tensor)]
    return ", ".join(others[:4]) if others else "nothing"


def _unwrapped(key: str) -> str:
    while key.startswith(_WRAPPERS):
        key = key.partition(".")[2]
    return key
