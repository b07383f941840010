"""Names that people give to splits and to the two images of a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from itertools import takewhile

import p2pkit
from p2pkit.builtin.datasets.files import Tree

_SPELLINGS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SEPARATORS = "_-. "


def split_of(folder: str) -> str | None:
    """Return the split that a name means, in any case and of several spellings; None where it means none."""
    return next((split for split, known in _SPELLINGS.items() if folder.casefold() in known), None)


def split_folders(tree: Tree, within: str = "") -> dict[str, str]:
    """Return the folder of each split that there is, whatever its case: `valid` and `validation` are `val`."""
    return _one_of_each((split, folder) for folder in tree.folders(within) if (split := split_of(folder)))


def split_pairs(tree: Tree, source: str, target: str) -> dict[str, tuple[str, str]]:
    """Return for each split the places of both images; none where there are no splits."""
    first, second = (split_folders(tree, name) for name in (source, target))
    inside = {
        split: (f"{source}/{first.get(split, split)}", f"{target}/{second.get(split, split)}")
        for split in _SPELLINGS
        if split in first or split in second
    }
    if inside:
        return inside
    around = {
        split: (f"{folder}/{source}", f"{folder}/{target}")
        for split, folder in split_folders(tree).items()
        if any("*" in name or tree.has(f"{folder}/{name}") for name in (source, target))
    }
    return around or _joined(tree, source, target)


def _joined(tree: Tree, source: str, target: str) -> dict[str, tuple[str, str]]:
    """Look for folders such as trainA and trainB, or train_A and train_B."""

    def places(name: str) -> dict[str, str]:
        ends = [
            (folder, folder[: -len(name)]) for folder in tree.folders() if folder.casefold().endswith(name.casefold())
        ]
        return _one_of_each((split, folder) for folder, start in ends if (split := split_of(start.rstrip(_SEPARATORS))))

    first, second = places(source), places(target)
    return {split: (first[split], second[split]) for split in _SPELLINGS if split in first and split in second}


def common_ending(names: Collection[str]) -> str:
    """Return what all of several names end with, from its first separator on: `_leftImg8bit`."""
    if len(names) < 2:
        return ""
    columns = zip(*(reversed(name) for name in names), strict=False)
    ending = "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, columns))[::-1]
    begins = [position for separator in _SEPARATORS if (position := ending.find(separator)) >= 0]
    return ending[min(begins) :] if begins else ""


def in_twos(names: Collection[str]) -> tuple[str, str] | None:
    """Return the first two names where each name has another that differs in its last letter, as 1_A and 1_B."""
    starts = Counter(name[:-1] for name in names if name[-2:-1] in set(_SEPARATORS) and name[-1] in "ABab")
    if not starts or set(starts.values()) != {2} or 2 * len(starts) != len(names):
        return None
    first, second = sorted(names)[:2]
    return first, second


def _one_of_each(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for split, folder in found:
        if split in folders:
            cause = f"folders {folders[split]} and {folder} are both the split {split}"
            raise p2pkit.ComponentError(cause, remedy="rename one of them", parameter="root")
        folders[split] = folder
    return {split: folders[split] for split in _SPELLINGS if split in folders}
