"""Files by patterns: where label maps, instance maps and photos lie, and which belong together."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pkit import ComponentError

SPLITS = ("train", "val", "test")
ROLES = ("labels", "instances", "target")


@dataclass(frozen=True, slots=True)
class Item:
    """The three files of a pair.

    Args:
        name: What stands for `{name}` in their paths.
        labels: The label map.
        instances: The instance map.
        target: The photo.
    """

    name: str
    labels: Path
    instances: Path
    target: Path


def find(root: Path, patterns: Mapping[str, str]) -> dict[str, tuple[Item, ...]]:
    """Find the files of each split and put them together by name, never by their order.

    Args:
        root: The folder that holds them.
        patterns: For each role, the path below `root` with `{split}`, `{name}` and `*` for the rest of a file's name.

    Returns:
        The pairs of each split there is, sorted by name.

    Raises:
        ComponentError: There is no such folder, a pattern lacks a placeholder, nothing is found, or a file of a
            pair is missing.
    """
    root = root.expanduser()
    if not root.is_dir():
        cause = f"there is no folder {root}"
        raise ComponentError(cause, remedy="a relative path starts at the working directory", parameter="root")
    for role, pattern in patterns.items():
        if not all(pattern.count(part) == 1 for part in ("{split}", "{name}")):
            remedy = "e.g. {split}/" + role + "/{name}.png"
            raise ComponentError(f"{pattern} needs one {{split}} and one {{name}}", remedy=remedy, parameter=role)
    paths = _below(root)
    found = {split: [_matching(paths, patterns[role], split) for role in ROLES] for split in SPLITS}
    splits = {split: maps for split, maps in found.items() if any(maps)}
    _check_partners(root, patterns, splits)
    return {
        split: tuple(Item(name, *(root / each[name] for each in maps)) for name in sorted(maps[0]))
        for split, maps in splits.items()
    }


def _below(root: Path) -> list[str]:
    walk = ((Path(place).relative_to(root), names) for place, _, names in os.walk(root))
    return [(place / name).as_posix() for place, names in walk for name in names if not name.startswith(".")]


def _matching(paths: Sequence[str], pattern: str, split: str) -> dict[str, str]:
    """Return name -> path of the files that a pattern means."""
    escaped = re.escape(pattern.replace("{split}", split))
    matcher = re.compile(escaped.replace(r"\{name\}", "(.+)").replace(r"\*", "[^/]*"))
    matches = ((matcher.fullmatch(path), path) for path in paths)
    return {match[1]: path for match, path in matches if match}


def _check_partners(root: Path, patterns: Mapping[str, str], splits: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    if not splits:
        sought = ", ".join(f"{role}: {pattern}" for role, pattern in patterns.items())
        remedy = "say with `labels`, `instances` and `target` where the files of a pair lie"
        raise ComponentError(f"{root} holds no files like {sought}", remedy=remedy, parameter="root")
    for split, maps in splits.items():
        for role, files in zip(ROLES, maps, strict=True):
            missing = sorted({name for other in maps for name in other} - files.keys())
            if missing:
                shown = ", ".join(patterns[role].format(split=split, name=name) for name in missing[:4])
                more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
                remedy = f"add or remove files, or say with `{role}` where they lie"
                raise ComponentError(f"{root} lacks {shown}{more}", remedy=remedy, parameter=role)
