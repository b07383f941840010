"""The data set of label maps, instance maps and photos, as Cityscapes has them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import p2pkit
from p2pkit import DataError, ImageSpec, LazyPairs, Pair, PairSpec, Problem, split_of
from pydantic import Field
from torch import Tensor

from p2pkit_pix2pixhd.edges import source_planes
from p2pkit_pix2pixhd.files import Item, find

Side = Annotated[int, Field(ge=1, le=16384)]
_PLACE = "path below root with {split} (train, val, test) and {name}; * is the rest of a file's name."


@dataclass(frozen=True)
class EdgePairs(LazyPairs):
    """The pairs of one split, read when they are asked for."""

    items: tuple[Item, ...]
    spec: PairSpec
    classes: int

    def __len__(self) -> int:
        return len(self.items)

    def pair(self, index: int) -> Pair:
        """Read one pair; `DataError` names a file that can't be used."""
        item = self.items[index]
        size = self.spec.height, self.spec.width
        with _naming(item.labels):
            labels = p2pkit.conform(_read(item.labels), ImageSpec(self.classes, kind="labels"))
        with _naming(item.instances):
            instances = _read(item.instances)
            if instances.shape[1:] != labels.shape[1:]:
                raise OSError(f"is of another size than {item.labels}")
        # edges are found after resizing, so that they are as wide at every size
        labels, instances = (p2pkit.resize(each, *size, nearest=True) for each in (labels, instances))
        with _naming(item.target):
            photo = p2pkit.conform(p2pkit.read_image(item.target), self.spec.target)
        return Pair(source_planes(labels, instances, self.classes), p2pkit.resize(photo, *size), item.name)


@dataclass(frozen=True)
class EdgeDataset:
    """Label maps with instance edges and photos; see `p2pkit.PairDataset`.

    Args:
        spec: What the images are.
        items: The files of each split.
        classes: Number of classes.
    """

    spec: PairSpec
    items: Mapping[str, tuple[Item, ...]]
    classes: int

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.items)

    def pairs(self, split: str) -> EdgePairs:
        """Return the pairs of a split, sorted by name; `DataError` where there is no such split."""
        return EdgePairs(split_of(self.items, split), self.spec, self.classes)

    def at(self, height: int, width: int) -> EdgeDataset:
        """Return the same data at another size."""
        return replace(self, spec=replace(self.spec, height=height, width=width))

    def fingerprint(self, split: str) -> str:
        """Return a text that changes with the files' names, sizes and times, and with the parameters."""
        facts = hashlib.sha256(f"{split} {self.spec}".encode())
        for item in split_of(self.items, split):
            stamps = [file.stat() for file in (item.labels, item.instances, item.target)]
            facts.update(f"{item.name} {[(stamp.st_size, stamp.st_mtime_ns) for stamp in stamps]}\n".encode())
        return facts.hexdigest()[:12]


def labels_with_edges(
    *,
    root: Annotated[Path, Field(description="Folder that holds the files.")],
    classes: Annotated[int, Field(ge=2, le=1023, description="Number of classes; indices count from 0.")] = 35,
    labels: Annotated[str, Field(description=f"Label maps: {_PLACE}")] = "{split}/labels/{name}.png",
    instances: Annotated[str, Field(description=f"Instance maps: {_PLACE}")] = "{split}/instances/{name}.png",
    target: Annotated[str, Field(description=f"Photos: {_PLACE}")] = "{split}/photos/{name}.*",
    size: Annotated[
        Side | tuple[Side, Side] | None,
        Field(description="Side, or height and width, that images are resized to; null: as the first photo."),
    ] = None,
    channels: Annotated[int, Field(ge=1, le=4, description="Channels of the photos.")] = 3,
) -> EdgeDataset:
    """Label maps with the edges of their instances, and photos: one plane for each class and one for the edges.

    The files of a pair are found by patterns; those of Cityscapes as it is unpacked are
    `gtFine/{split}/{name}_gtFine_labelIds.png`, `gtFine/{split}/{name}_gtFine_instanceIds.png` and
    `leftImg8bit/{split}/{name}_leftImg8bit.png`. Maps are resized to the nearest pixel, photos bicubic.

    Args:
        root: Folder that holds the files.
        classes: Number of classes.
        labels: Where the label maps lie.
        instances: Where the instance maps lie; any numbers or colours that tell objects apart.
        target: Where the photos lie.
        size: Side, or height and width, that images are resized to.
        channels: Channels of the photos.

    Returns:
        The data set; of its images only the first photo's size has been read, and that only where `size` is null.

    Raises:
        p2pkit.ComponentError: The files can't be found or put together.

    Shape: source (classes + 1, H, W), stored as 0 and 255; target (channels, H, W).
    Source: Wang et al. 2018, arXiv:1711.11585, section 3.3.
    """
    items = find(root, {"labels": labels, "instances": instances, "target": target})
    height, width = _size_of(next(iter(items.values()))[0]) if size is None else _both(size)
    return EdgeDataset(PairSpec(ImageSpec(classes + 1), ImageSpec(channels), height, width), items, classes)


def _both(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _size_of(item: Item) -> tuple[int, int]:
    try:
        _, height, width = p2pkit.read_image(item.target).shape
    except OSError as error:
        cause = f"the size of the first photo, {item.target}, can't be read: {error}"
        raise p2pkit.ComponentError(cause, remedy="mend the file, or give size", parameter="size") from None
    return height, width


def _read(path: Path) -> Tensor:
    return p2pkit.read_image(path, indexed=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn a failure into the error for users that names the file."""
    try:
        yield
    except OSError as error:
        remedy = "mend or remove the file, or leave such files out with `unreadable: skip`"
        raise DataError(Problem(str(path), error.strerror or str(error), remedy)) from None
