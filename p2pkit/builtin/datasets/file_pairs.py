"""Pairs read from files: lazy, safe in threads, picklable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Literal

import torch
from torch import Tensor

import p2pkit
from p2pkit import ImageSpec, Pair, PairSpec, Reading, VectorSpec
from p2pkit.builtin.datasets.files import File, FilePart
from p2pkit.builtin.datasets.layouts import Item, Layout, SplitItems
from p2pkit.builtin.datasets.ranges import Found
from p2pkit.builtin.datasets.sample import MEND, naming, take_sample
from p2pkit.builtin.datasets.sides import Derivation, Intensity, Labels

Fit = Literal["exact", "cover", "native"]


@dataclass(frozen=True)
class FilePairs(p2pkit.LazyPairs):
    """The pairs of one split.

    Args:
        items: The files of each pair.
        spec: What the images become.
        derive: What makes a source of a target, where it is no file of its own.
        fit: Which size pairs have: the spec's, at least that in their target's proportions, or their target's own.
    """

    items: tuple[Item, ...]
    spec: PairSpec
    derive: Derivation | None = None
    fit: Fit = "exact"

    def __len__(self) -> int:
        return len(self.items)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of a pair whose target's file is of this size."""
        wanted = (self.spec.height, self.spec.width)
        if self.fit == "exact":
            return wanted
        factor = max(wanted[0] / height, wanted[1] / width) if self.fit == "cover" else 1.0
        return round(height * factor), round(width * factor)

    def pair(self, index: int) -> Pair:
        """Read one pair.

        Raises:
            p2pkit.DataError: A file of it can't be read, or does not fit the spec.
        """
        item = self.items[index]
        read = cache(File.read)  # both halves of a file, one decoding
        target = _load(item.target, self.spec.target, read, size=self._size)
        size = (target.shape[1], target.shape[2])
        extras = {
            name: _load([each], spec, read, size=lambda *_: size)
            if isinstance(spec, ImageSpec) and isinstance(each := item.extras[name], FilePart)
            else torch.tensor(item.extras[name])
            for name, spec in self.spec.given.items()
        }
        if self.derive is None:
            bands = self.spec.reading.bands
            source = _load(item.source, self.spec.source, read, bands=bands, size=lambda *_: size)
            return Pair(source, target, item.name, extras)
        with naming(item.target[0].file):
            return Pair(self.derive(target, self.spec.target), target, item.name, extras)


@dataclass(frozen=True)
class FileDataset:
    """A data set of files; see `p2pkit.PairDataset`.

    Args:
        spec: What the images are.
        items: The pairs of each split.
        derive: Makes sources out of targets, where the items name none.
        notes: What is to be known of the files: what is left out, and which values are cut off.
        fit: Which size pairs have, as for `FilePairs`.
        own_shapes: Whether files are of other proportions than the spec, which `at` keeps.
    """

    spec: PairSpec
    items: SplitItems
    derive: Derivation | None = None
    notes: tuple[str, ...] = ()
    fit: Fit = "exact"
    own_shapes: bool = False

    resampling: ClassVar[str] = "bicubic, antialiased"

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.items)

    def pairs(self, split: str) -> FilePairs:
        """Return the pairs of a split, sorted by name.

        Raises:
            p2pkit.DataError: There is no such split.
        """
        return FilePairs(p2pkit.split_of(self.items, split), self.spec, self.derive, self.fit)

    def faults(self, split: str) -> list[p2pkit.Problem]:
        """List the files of a split that are missing or empty, without reading them.

        Raises:
            p2pkit.DataError: There is no such split.
        """
        files = dict.fromkeys(part.file for item in p2pkit.split_of(self.items, split) for part in item.parts)
        causes = ((file, file.fault()) for file in files)
        return [p2pkit.Problem(str(file), cause, MEND) for file, cause in causes if cause]

    def at(self, height: int, width: int) -> FileDataset:
        """Return the same data at another size; files of other proportions keep these, and become no smaller."""
        fit: Fit = "cover" if self.own_shapes else "exact"
        return replace(self, spec=replace(self.spec, height=height, width=width), fit=fit)

    def native(self) -> FileDataset:
        """Return the same data with each pair at its own size."""
        return replace(self, fit="native")

    def fingerprint(self, split: str) -> str:
        """Return a text that changes with the files' names, sizes and times, and with the parameters."""
        facts = hashlib.sha256(f"{split} {self.spec} {self.derive}".encode())
        for item in p2pkit.split_of(self.items, split):
            parts = (f"{part.half} {part.file.name} {part.file.stamp()}{_read_by(part)}" for part in item.parts)
            beside = (f"{name} {each}" for name, each in sorted(item.extras.items()) if not isinstance(each, FilePart))
            facts.update("\n".join((item.name, *parts, *beside)).encode("utf-8", "surrogateescape"))
        return facts.hexdigest()[:12]


def open_pairs(
    layout: Layout,
    *,
    size: int | tuple[int, int] | None,
    source: Intensity | Labels | Derivation,
    target: Intensity | Labels,
    bands: tuple[int, ...] = (),
    extras: Mapping[str, ImageSpec | VectorSpec] | None = None,
    parameter: str = "root",
) -> FileDataset:
    """Settle what the images are by a sample of the pairs, which is spread over all splits.

    Args:
        layout: Where the pairs are.
        size: Side, or height and width; None for those of the first target.
        source: What the source should be, or how it is made.
        target: What the target should be.
        bands: The bands of a source's file that are taken; all where none is named.
        extras: What the items' extras are.
        parameter: The parameter to blame where nothing can be read.

    Returns:
        The data set; nothing else has been read.

    Raises:
        p2pkit.ComponentError: None of the sample can be read, or it can't be what is wanted.
    """
    sample = take_sample(layout.splits, isinstance(source, Labels), target.indexed, bands, parameter)
    first = sample.targets[0].image
    height, width = first.shape[1:] if size is None else (size, size) if isinstance(size, int) else size
    made_of, notes = target.spec(sample.targets)
    suffix = p2pkit.suffix_of(sample.items[0].target[0].file.name)
    foreign = suffix if suffix not in p2pkit.IMAGE_SUFFIXES else ".png"
    file = (sample.items[0].source or sample.items[0].target)[0].file
    with naming(file):
        reader = file.reader or p2pkit.reader_choice(file.name, file.head)
    reading = Reading(bands=bands, suffix=_KEPT.get(suffix, foreign), reader=reader)
    if isinstance(source, Intensity | Labels):
        made_from, more = source.spec(sample.sources)
        half = sample.items[0].source[0].half
        stacked = sample.channels if len(sample.channels) > 1 else ()
        painted = () if stacked or made_from.kind == "labels" else p2pkit.painted_colours(_images(sample.sources))
        aspect = sample.aspect if half != "whole" else 0.0
        reading = replace(reading, stacked=stacked, half=half, aspect=aspect, painted=painted)
    else:
        made_from, more = source.spec(made_of), []
        half = sample.items[0].target[0].half
        aspect = sample.aspect if half != "whole" else 0.0
        reading = replace(reading, half=half, aspect=aspect, edges=source.edges)
    images = PairSpec(made_from, made_of, height, width, reading, extras or {})
    derive = None if isinstance(source, Intensity | Labels) else source
    every = (*layout.notes, *more, *notes, *sample.notes(size))
    return FileDataset(images, layout.splits, derive, every, own_shapes=sample.differs_from(height, width))


def _read_by(part: FilePart) -> str:
    reader = part.file.reader
    return f" {reader}" if reader is not None else ""


def _images(found: Sequence[Found]) -> list[Tensor]:
    return [each.image for each in found]


_KEPT = {".tif": ".tif", ".tiff": ".tif", ".npy": ".npy", ".exr": ".exr"}


def _load(
    parts: Sequence[FilePart],
    spec: ImageSpec,
    read: Callable[..., Tensor],
    *,
    size: Callable[[int, int], tuple[int, int]],
    bands: tuple[int, ...] = (),
) -> Tensor:
    labels = spec.kind == "labels"
    loaded: list[Tensor] = []
    for part in parts:
        with naming(part.file):
            image = part.cut(read(part.file, indexed=labels))
            image = p2pkit.choose_bands(image, bands)
            own = spec if len(parts) == 1 else replace(spec, channels=image.shape[0])
            image = p2pkit.conform(image, own)
            shape = loaded[0].shape[1:] if loaded else size(image.shape[1], image.shape[2])
            image = p2pkit.resize(image, *shape, nearest=labels)
            loaded.append(image)
    if len(loaded) == 1:
        return loaded[0]
    with naming(parts[0].file):
        channels = sum(image.shape[0] for image in loaded)
        if channels != spec.channels:
            raise OSError(f"makes {channels} channels with its companions, where {spec.channels} are wanted")
    return torch.cat(loaded)
