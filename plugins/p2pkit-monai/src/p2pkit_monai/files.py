"""Volumes on disk: which belong together, and what they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

import p2pkit
from p2pkit import ComponentError, DataError, Problem
from p2pkit_monai.series import is_series, read_series

SPLITS = ("train", "val", "test")
_LOCK = Lock()
_KEPT = 4
"""Volumes that are kept, since slices of one are asked for one after another."""


@dataclass(frozen=True, slots=True)
class Item:
    """The two volumes of a patient.

    Args:
        name: What stands for `{name}` in their paths.
        source: A file, or the folder of a DICOM series.
        target: The same.
    """

    name: str
    source: Path
    target: Path

    def stamps(self) -> str:
        """Return a text that changes with the files."""
        files = [file for side in (self.source, self.target) for file in (_inside(side) if side.is_dir() else [side])]
        facts = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return f"{self.name} {facts}"


def find(root: Path, patterns: Mapping[str, str], held_out: float) -> dict[str, tuple[Item, ...]]:
    """Find the volumes, and put those of a patient together by name.

    Args:
        root: The folder that holds them.
        patterns: For `source` and `target` the path below `root`, with `{name}`, perhaps `{split}`, and `*` for the
            rest of a name.
        held_out: Share of the patients that become `val` where no pattern has a `{split}`; adding others moves none.

    Returns:
        The patients of each split, sorted by name.

    Raises:
        ComponentError: There is no such folder, a pattern has no `{name}`, nothing is found, or a patient has one
            volume of the two.
    """
    root = root.expanduser()
    if not root.is_dir():
        remedy = "a relative path starts at the working directory"
        raise ComponentError(f"there is no folder {root}", remedy=remedy, parameter="root")
    for side, pattern in patterns.items():
        if pattern.count("{name}") != 1 or pattern.count("{split}") > 1:
            remedy = f"e.g. {side}/{{name}}.nii.gz"
            raise ComponentError(f"{pattern} needs one {{name}}", remedy=remedy, parameter=side)
    below = sorted(_below(root))
    found = {side: _matching(below, pattern) for side, pattern in patterns.items()}
    source, target = found["source"], found["target"]
    if not source and not target:
        sought = ", ".join(f"{side}: {pattern}" for side, pattern in patterns.items())
        remedy = "say with `source` and `target` where the volumes lie"
        raise ComponentError(f"{root} holds nothing like {sought}", remedy=remedy, parameter="root")
    for side, other in (("source", target), ("target", source)):
        if missing := sorted(other.keys() - found[side].keys()):
            names = ", ".join(name for _, name in missing[:4]) + (" and others" if len(missing) > 4 else "")
            remedy = f"add or remove files, or say with `{side}` where they lie"
            raise ComponentError(f"there is no {side} of {names}", remedy=remedy, parameter=side)
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for (split, name), path in sorted(source.items()):
        chosen = split or ("val" if p2pkit.hashed_share(name) < held_out else "train")
        splits[chosen].append(Item(name, root / path, root / target[split, name]))
    return {split: tuple(items) for split, items in splits.items() if items}


def read_volume(path: Path) -> Tensor:
    """Read a volume, of a file or of the folder of a DICOM series; the last few are kept.

    Raises:
        DataError: It can't be read.

    Shape: (C, D, H, W).
    """
    try:
        with _LOCK:
            return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise DataError(Problem(str(path), f"can't be read: {error.strerror or error}")) from None


@lru_cache(maxsize=_KEPT)
def _read(path: Path, changed: int) -> Tensor:
    if path.is_dir():
        return torch.from_numpy(np.moveaxis(read_series(path).pixels, -1, 0))
    image = p2pkit.read_image(path)
    return image[:, None] if image.ndim == 3 else image


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _below(root: Path) -> Iterator[str]:
    """Yield the files below a folder, and the folders that hold a DICOM series."""
    for place, folders, names in os.walk(root):
        here = Path(place).relative_to(root)
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        yield from ((here / name).as_posix() for name in names if not name.startswith("."))
        yield from ((here / name).as_posix() for name in folders if is_series(Path(place, name)))


def _matching(paths: list[str], pattern: str) -> dict[tuple[str, str], str]:
    """Return (split, name) -> path of what a pattern means; the split is empty where it has none."""
    written = re.escape(pattern).replace(r"\{name\}", "(?P<name>[^/]+?)").replace(r"\*", "[^/]*")
    matcher = re.compile(written.replace(r"\{split\}", f"(?P<split>{'|'.join(SPLITS)})"))
    matches = ((matcher.fullmatch(path), path) for path in paths)
    return {(found.groupdict().get("split", ""), found["name"]): path for found, path in matches if found}
