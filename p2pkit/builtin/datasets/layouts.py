"""Layouts: how the two images of a pair lie on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

import p2pkit
from p2pkit.builtin.datasets.files import SPLITS, File, Half, Part, Tree, some

Direction = Annotated[
    Literal["a_to_b", "b_to_a"], Field(description="`a_to_b`: the left half is the source; `b_to_a`: the right one is.")
]
HeldOut = Annotated[
    float,
    Field(
        ge=0, lt=1, description="Share of the images, chosen by their names, that is `val` where no splits are given."
    ),
]
Root = Annotated[Path, Field(description="Folder or .zip archive of the images.")]


@dataclass(frozen=True, slots=True)
class Item:
    """Where the images of a pair are.

    Args:
        name: The pair's name.
        source: The images that make the source, their channels stacked; none where it is derived from the target.
        target: The images that make the target.
    """

    name: str
    source: tuple[Part, ...]
    target: tuple[Part, ...]


Splits = dict[str, tuple[Item, ...]]
"""What every layout finds: the pairs of each split."""


def halves(root: Path, direction: str, held_out: float) -> Splits:
    """Find files whose halves are the images of a pair.

    Args:
        root: Folder or archive that holds them.
        direction: `a_to_b` where the left half is the source, else `b_to_a`.
        held_out: Share kept for evaluation where there are no folders of splits.
    """
    source: Half = "left" if direction == "a_to_b" else "right"
    target: Half = "right" if direction == "a_to_b" else "left"
    return {
        split: tuple(Item(name, (Part(file, source),), (Part(file, target),)) for name, file in images.items())
        for split, images in _split_images(root, held_out).items()
    }


def photos(root: Path, half: Half, held_out: float) -> Splits:
    """Find files, or one half of each, that are targets; sources are derived from them.

    Args:
        root: Folder or archive that holds them.
        half: Which half of a file is the photo, or `whole`.
        held_out: Share kept for evaluation where there are no folders of splits.
    """
    return {
        split: tuple(Item(name, (), (Part(file, half),)) for name, file in images.items())
        for split, images in _split_images(root, held_out).items()
    }


def folders(root: Path, source: str, target: str, held_out: float) -> Splits:
    """Find pairs of files with the same name in two folders: NAME/SPLIT, SPLIT/NAME or only NAME below the root.

    Args:
        root: Folder or archive that holds them.
        source: Name of the sources' folder.
        target: Name of the targets' folder.
        held_out: Share kept for evaluation where there are no folders of splits.

    Raises:
        p2pkit.ComponentError: A folder is missing or empty, or a file has no partner.
    """
    tree = Tree(root)
    for pattern in ("{name}/{split}", "{split}/{name}"):
        both = {split: [pattern.format(name=name, split=split) for name in (source, target)] for split in SPLITS}
        found = {split: places for split, places in both.items() if any(map(tree.has, places))}
        if found:
            return _match({split: (_images(tree, a), _images(tree, b)) for split, (a, b) in found.items()})
    pairs = _match({"all": (_images(tree, source), _images(tree, target))})["all"]
    return hold_out(pairs, held_out)


def hold_out(items: Iterable[Item], share: float, parameter: str = "root") -> Splits:
    """Split by a hash of the names, so that adding files moves none of the others.

    Args:
        items: All pairs.
        share: About what part of them is kept for evaluation.
        parameter: The parameter to blame where nothing is left.

    Raises:
        p2pkit.ComponentError: Nothing is left to train on.
    """
    items = tuple(items)
    val = tuple(item for item in items if _draw(item.name) < share)
    train = tuple(item for item in items if _draw(item.name) >= share)
    if not train:
        cause = f"with held_out: {share} none of the {len(items)} images is left to train on"
        raise p2pkit.ComponentError(cause, remedy="add images or lower held_out", parameter=parameter)
    return {"train": train, "val": val} if val else {"train": train}


def _split_images(root: Path, held_out: float) -> Mapping[str, dict[str, File]]:
    tree = Tree(root)
    given = [split for split in SPLITS if tree.has(split)]
    if given:
        return {split: tree.images(split) for split in given}
    images = tree.images(deep=False)
    named = hold_out((Item(name, (), ()) for name in images), held_out)
    return {split: {item.name: images[item.name] for item in items} for split, items in named.items()}


def _images(tree: Tree, folder: str) -> dict[str, File]:
    if tree.has(folder):
        return tree.images(folder)
    cause = f"{tree.root} has no folder {folder}; its folders: {some(tree.folders()) or 'none'}"
    remedy = "say with `source` and `target` what the folders of the two images are called"
    raise p2pkit.ComponentError(cause, remedy=remedy, parameter="root")


def _match(splits: Mapping[str, tuple[dict[str, File], dict[str, File]]]) -> Splits:
    alone = [
        str(a.get(name) or b.get(name)) for a, b in splits.values() for name in sorted(a.keys() ^ b.keys())
    ]  # fmt: skip
    if alone:
        cause = f"{len(alone)} {'image has' if len(alone) == 1 else 'images have'} no partner: {some(alone)}"
        remedy = "the two images of a pair have the same name in both folders, apart from the suffix"
        raise p2pkit.ComponentError(cause, remedy=remedy, parameter="root")
    return {
        split: tuple(Item(name, (Part(a[name]),), (Part(b[name]),)) for name in a) for split, (a, b) in splits.items()
    }


def _draw(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
