"""The one place where a file of tensors that somebody else wrote is read; nothing in it is ever run."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from p2pkit.untyped import Untyped


class UnreadableTensors(Exception):
    """A file's tensors can't be had.

    Args:
        cause: What is wrong with the file, as the rest of a sentence that begins with its name.
        remedy: What to do about it.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


def load_tensors(path: Path) -> dict[str, Untyped]:
    """Read a state dict to the CPU, whatever the default device is.

    Args:
        path: A safetensors file, or one that torch.save wrote.

    Returns:
        Tensors by name, all of them dense and on the CPU; plain values and further dicts, where the file has them.

    Raises:
        UnreadableTensors: The file is none of these, is damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():  # reading a pipe or a device might never end
        raise UnreadableTensors("is no file" if path.exists() else "does not exist", "give a file of weights")
    try:
        with torch.device("cpu"):
            loaded = _load(path)
    except Exception as error:  # a damaged file makes unpicklers, archives and headers raise whatever there is
        raise _unreadable(path, error) from None
    if not isinstance(loaded, dict):
        raise UnreadableTensors(f"holds a {type(loaded).__name__}, not a state dict", _ALONE)
    _check_entries(loaded)
    return loaded


_ALONE = "save the network's state_dict() alone"


def _load(path: Path) -> Untyped:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path, device="cpu")
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_entries(entries: dict[object, object]) -> None:
    """Refuse what would fail later: names that are no text, tensors that a network can't compute with."""
    pending = [entries]
    while pending:
        for name, value in pending.pop().items():
            if not isinstance(name, str):
                raise UnreadableTensors(f"has names that are no text, as {str(name)[:50]}", _ALONE)
            if isinstance(value, dict):
                pending.append(value)
            if isinstance(value, Tensor) and not _is_plain(value):
                raise UnreadableTensors(f"holds an odd tensor, {name[:100]}", "save tensors that are dense, on the CPU")


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def _unreadable(path: Path, error: Exception) -> UnreadableTensors:
    """Say whether a file holds code, which is refused, or is damaged, or is of another kind."""
    code = re.search(r"(?:GLOBAL|instantiate class) (\S+)", str(error))
    if code:
        cause = f"holds more than tensors ({code[1]}), which could run code, so nothing of it was loaded"
        return UnreadableTensors(cause, f"where you trust its source, load it there and {_ALONE}")
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as refused:
        return UnreadableTensors(f"can't be read: {refused.strerror}", "give a file that you may read")
    if start.lstrip().startswith(b"<"):
        return UnreadableTensors("is a web page and no checkpoint", "download the file itself")
    if start.startswith(b"version https"):
        return UnreadableTensors("is a pointer of Git LFS and no checkpoint", "fetch the file by git lfs pull")
    return UnreadableTensors("is damaged or incomplete, or is no checkpoint", "download or copy it again")
