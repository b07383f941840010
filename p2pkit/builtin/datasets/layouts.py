"""Layouts: how the two images of a pair lie on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

import p2pkit
from p2pkit.builtin.datasets.files import File, FilePart, Half, Tree, some
from p2pkit.builtin.datasets.names import common_ending, in_twos, split_folders, split_pairs

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
        extras: By name what stands beside them: an image, numbers, or the index of a class.
    """

    name: str
    source: tuple[FilePart, ...]
    target: tuple[FilePart, ...]
    extras: Mapping[str, FilePart | tuple[float, ...] | int] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[FilePart, ...]:
        """All images of the pair."""
        return *self.source, *self.target, *(each for each in self.extras.values() if isinstance(each, FilePart))


SplitItems = dict[str, tuple[Item, ...]]
"""The pairs of each split."""


@dataclass(frozen=True)
class Layout:
    """What was found.

    Args:
        splits: The pairs of each split.
        notes: What lies beside them and is left out.
    """

    splits: SplitItems
    notes: tuple[str, ...] = ()


Reader = p2pkit.ReaderChoice | str | None


def read_by(layout: Layout, source: Reader, target: Reader) -> Layout:
    """Let readers read the files of a layout.

    Args:
        layout: Where they are.
        source: The reader of the sources; None where it is told by the files.
        target: The same of the targets.
    """

    def with_reader(parts: tuple[FilePart, ...], reader: Reader) -> tuple[FilePart, ...]:
        choice = p2pkit.ReaderChoice(reader) if isinstance(reader, str) else reader
        return tuple(replace(part, file=replace(part.file, reader=choice)) for part in parts)

    def chosen(item: Item) -> Item:
        return replace(item, source=with_reader(item.source, source), target=with_reader(item.target, target))

    if source is target is None:
        return layout
    return replace(layout, splits={split: tuple(map(chosen, items)) for split, items in layout.splits.items()})


def halves(root: Path, direction: str, held_out: float) -> Layout:
    """Find files whose halves are the images of a pair."""
    source: Half = "left" if direction == "a_to_b" else "right"
    target: Half = "right" if direction == "a_to_b" else "left"
    found, notes = _split_images(root, held_out)
    for images in found.values():
        if twos := in_twos(images):
            cause = f"the files of {root} are no pairs of halves, but come in twos: {twos[0]} and {twos[1]}"
            raise p2pkit.ComponentError(cause, remedy=f"use paired_folders with {_ends(twos)}", parameter="root")
    items = {
        split: tuple(Item(name, (FilePart(file, source),), (FilePart(file, target),)) for name, file in images.items())
        for split, images in found.items()
    }
    return Layout(items, notes)


def photos(root: Path, half: Half, held_out: float) -> Layout:
    """Find files, or one half of each, that are targets; sources are derived from them."""
    found, notes = _split_images(root, held_out)
    items = {
        split: tuple(Item(name, (), (FilePart(file, half),)) for name, file in images.items())
        for split, images in found.items()
    }
    return Layout(items, notes)


def folders(root: Path, source: str, target: str, held_out: float) -> Layout:
    """Find pairs of files with the same name in two places: NAME/SPLIT, SPLIT/NAME, SPLITNAME or only NAME.

    A name that ends as `*_A` means the files of a folder whose names end so.

    Args:
        root: The folder that holds all.
        source: The name of the sources' folder.
        target: The name of the targets' folder.
        held_out: Which share of the pairs is kept for evaluation where the folders have no splits.

    Raises:
        p2pkit.ComponentError: A folder is missing or empty, or a file has no partner.
    """
    tree = Tree(root)
    if source == target:
        cause = f"the source's and the target's folder are the same, {source}, so each image would be its own partner"
        raise p2pkit.ComponentError(cause, remedy="name two folders", parameter="target")
    named = [(source, target), ("A", "B")] if (source, target) == ("source", "target") else [(source, target)]
    for names in named:
        found = split_pairs(tree, *names)
        if found:
            pairs = {split: (_images(tree, a), _images(tree, b)) for split, (a, b) in found.items()}
            used = {place.partition("/")[0] for both in found.values() for place in both}
            return Layout(_match(pairs), tuple(_beside(tree, used)))
    items = _match({"all": (_images(tree, source), _images(tree, target))})["all"]
    used = {place.rpartition("*")[0] if "*" in place else place for place in (source, target)}
    tops = {place.partition("/")[0] for place in used}
    return Layout(hold_out(items, held_out), () if "" in tops else tuple(_beside(tree, tops)))


def hold_out(items: Iterable[Item], share: float, parameter: str = "root") -> SplitItems:
    """Split by a hash of the names, so that adding files moves none of the others.

    Raises:
        p2pkit.ComponentError: Nothing is left to train on.
    """
    items = tuple(items)
    val = tuple(item for item in items if p2pkit.hashed_share(item.name) < share)
    train = tuple(item for item in items if p2pkit.hashed_share(item.name) >= share)
    if not train:
        cause = f"with held_out: {share} none of the {len(items)} images is left to train on"
        raise p2pkit.ComponentError(cause, remedy="add images or lower held_out", parameter=parameter)
    return {"train": train, "val": val} if val else {"train": train}


def _split_images(root: Path, held_out: float) -> tuple[Mapping[str, dict[str, File]], tuple[str, ...]]:
    tree = Tree(root)
    given = split_folders(tree)
    if given:
        found = {split: tree.images(folder) for split, folder in given.items()}
        return found, tuple(_beside(tree, set(given.values())))
    images = tree.images(deep=False)
    named = hold_out((Item(name, (), ()) for name in images), held_out)
    found = {split: {item.name: images[item.name] for item in items} for split, items in named.items()}
    return found, tuple(_beside(tree, set(), images_too=False))


def _beside(tree: Tree, used: set[str], *, images_too: bool = True) -> Iterator[str]:
    """Say what of the root is not looked at."""
    loose = tree.count(deep=False) if images_too else 0
    if loose:
        yield f"{loose} images directly in {tree.root} are left out, beside {some(sorted(used))}"
    others = [folder for folder in tree.folders() if folder not in used and tree.count(folder)]
    if others:
        yield f"folders of {tree.root} with images that are left out: {some(others)}"


def _images(tree: Tree, place: str) -> dict[str, File]:
    folder, star, ending = place.rpartition("*")
    if star:
        folder = folder.rstrip("/")
        found = tree.images(folder)
        chosen = {name.removesuffix(ending): file for name, file in found.items() if name.endswith(ending)}
        if chosen:
            return chosen
        cause = f"{tree.root / folder} has no image whose name ends with {ending}: {some(list(found), 4)}"
        raise p2pkit.ComponentError(cause, parameter="root")
    if tree.has(place):
        return tree.images(place)
    cause = f"{tree.root} has no folder {place}; its folders: {some(tree.folders()) or 'none'}"
    remedy = "say with `source` and `target` what the folders of the two images are called"
    if tree.count(deep=False) and (twos := in_twos(tree.images(deep=False))):
        cause, remedy = f"{cause}; its images come in twos: {twos[0]} and {twos[1]}", f"write {_ends(twos)}"
    raise p2pkit.ComponentError(cause, remedy=remedy, parameter="root")


def _ends(twos: tuple[str, str]) -> str:
    """Say how paired_folders is told of images that lie in one folder in twos."""
    first, second = (f"*{name[-2:]}" for name in twos)
    return f"source: '{first}' and target: '{second}'"


def _match(splits: Mapping[str, tuple[dict[str, File], dict[str, File]]]) -> SplitItems:
    matched = {split: _same_names(a, b) for split, (a, b) in splits.items()}
    alone = [
        str(a.get(name) or b.get(name)) for a, b in matched.values() for name in sorted(a.keys() ^ b.keys())
    ]  # fmt: skip
    if alone:
        cause = f"{len(alone)} {'image has' if len(alone) == 1 else 'images have'} no partner: {some(alone)}"
        remedy = "the two images of a pair have the same name in both folders, apart from the suffix"
        raise p2pkit.ComponentError(cause, remedy=remedy, parameter="root")
    return {
        split: tuple(Item(name, (FilePart(a[name]),), (FilePart(b[name]),)) for name in a)
        for split, (a, b) in matched.items()
    }


def _same_names(a: dict[str, File], b: dict[str, File]) -> tuple[dict[str, File], dict[str, File]]:
    """Leave off what all names of a folder end with, as `_A`, where they match only without."""
    if a.keys() == b.keys():
        return a, b
    first, second = ({name.removesuffix(common_ending(side)): file for name, file in side.items()} for side in (a, b))
    return (first, second) if first.keys() == second.keys() else (a, b)
