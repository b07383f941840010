"""Pairs of whole volumes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import Tensor

import p2pkit
from p2pkit import ComponentError, DataError, ImageSpec, LazyPairs, Pair, PairSpec, Problem, Reading, split_of
from p2pkit_monai.files import Item, find, read_volume
from p2pkit_monai.windows import SourceWindow, TargetWindow, Window, ends

PERCENTILES = (0.5, 99.5)
_PLACE = (
    "below root, a file or the folder of a DICOM series: {name} is the patient, {split} train, val or test, * the rest"
)
Root = Annotated[Path, Field(description="Folder that holds the volumes.")]
Source = Annotated[str, Field(description=f"Where sources lie {_PLACE}.")]
Target = Annotated[str, Field(description=f"Where targets lie {_PLACE}.")]
HeldOut = Annotated[
    float, Field(ge=0, lt=1, description="Share of the patients that become val, where no pattern has a {split}.")
]
Side = Annotated[int, Field(ge=1, le=16384)]


@dataclass(frozen=True)
class Patients:
    """Which volumes there are, and how they are read.

    Args:
        items: The patients of each split.
        source: The window of the sources; None for each volume's percentiles.
        target: The same of the targets.
    """

    items: Mapping[str, tuple[Item, ...]]
    source: Window
    target: Window

    @classmethod
    def found(cls, root: Path, source: str, target: str, held_out: float, windows: tuple[Window, Window]) -> Patients:
        """Find the volumes; `ComponentError` where there is something wrong with them."""
        return cls(find(root, {"source": source, "target": target}, held_out), *windows)

    @property
    def first(self) -> tuple[Tensor, Tensor]:
        """The first patient's volumes; `ComponentError` where they can't be read."""
        item = next(items[0] for items in self.items.values())
        try:
            return self.read(item)
        except DataError as error:
            raise ComponentError(str(error), parameter="root") from None

    def read(self, item: Item) -> tuple[Tensor, Tensor]:
        """Read a patient's volumes, which have to be of one size; `DataError` where they can't be had.

        Shape: (C, D, H, W) each.
        """
        source, target = read_volume(item.source), read_volume(item.target)
        if source.shape[1:] != target.shape[1:]:
            sizes = (" x ".join(map(str, each.shape[1:])) for each in (source, target))
            cause = f"is of {' voxels, and the source of '.join(reversed(list(sizes)))}"
            raise DataError(
                Problem(str(item.target), cause, "bring both to one grid, voxel on voxel, and save them anew")
            )
        return self.scaled(source, self.source), self.scaled(target, self.target)

    @staticmethod
    def scaled(volume: Tensor, window: Window) -> Tensor:
        """Bring a volume to 0..1 by its percentiles, where no window is given."""
        return p2pkit.stretch(volume, PERCENTILES) if window is None else volume

    def of(self, split: str) -> tuple[Item, ...]:
        """Return a split's patients; `DataError` where there is no such split."""
        return split_of(self.items, split)

    def fingerprint(self, split: str, *facts: object) -> str:
        """Return a text that changes with a split's files, and with what else settles the pairs."""
        stamps = "\n".join(item.stamps() for item in self.of(split))
        return hashlib.sha256(f"{split} {self.source} {self.target} {facts} {stamps}".encode()).hexdigest()[:12]

    def reading(self, slices: p2pkit.Slices | None = None) -> Reading:
        """Return what a model does to the files that it translates."""
        percentiles = PERCENTILES if self.source is None else None
        return Reading(suffix=".nii.gz", slices=slices, percentiles=percentiles)

    @property
    def notes(self) -> list[str]:
        """What is to be known: fakes of targets without a window have no unit."""
        if self.target is not None:
            return []
        return [
            "each target is brought to 0..1 by its percentiles, and so are fakes; "
            "target_window: [level, width] keeps units, target_window: ct for CT"
        ]


def image_spec(channels: int, window: Window) -> ImageSpec:
    """Return what a side's values are: floats in the units of the files, or 0 to 1."""
    low, high = (0.0, 1.0) if window is None else ends(window)
    return ImageSpec(channels, low=low, high=high, dtype="float32")


@dataclass(frozen=True)
class VolumePairs(LazyPairs):
    """The whole volumes of one split, read when they are asked for; at their own size where `size` is None."""

    patients: Patients
    items: tuple[Item, ...]
    spec: PairSpec
    resized: bool

    def __len__(self) -> int:
        return len(self.items)

    def pair(self, index: int) -> Pair:
        """Read one pair; `DataError` names a file that can't be used."""
        item = self.items[index]
        sides = zip(self.patients.read(item), (self.spec.source, self.spec.target), strict=True)
        source, target = (conformed(volume, spec, item) for volume, spec in sides)
        if self.resized:
            depth, height, width = self.spec.size
            source, target = (p2pkit.resize(each, height, width, depth=depth) for each in (source, target))
        return Pair(source, target, item.name)


def conformed(volume: Tensor, spec: ImageSpec, item: Item) -> Tensor:
    """Bring a part of a volume to its spec; `DataError` where that can't be done."""
    try:
        return p2pkit.conform(volume, spec)
    except OSError as error:
        raise DataError(Problem(item.name, f"has a volume that {error}")) from None


@dataclass(frozen=True)
class VolumeDataset:
    """Whole volumes in pairs; see `p2pkit.PairDataset`.

    Args:
        spec: What the volumes are.
        patients: Where they are.
        resized: Whether they are resized to the spec's size.
    """

    spec: PairSpec
    patients: Patients
    resized: bool = True

    resampling = "bicubic"

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.patients.items)

    @property
    def notes(self) -> list[str]:
        """What is to be known before training."""
        return self.patients.notes

    def pairs(self, split: str) -> VolumePairs:
        """Return the pairs of a split, sorted by name."""
        return VolumePairs(self.patients, self.patients.of(split), self.spec, self.resized)

    def at(self, depth: int, height: int, width: int) -> VolumeDataset:
        """Return the same volumes at another size."""
        return replace(self, spec=replace(self.spec, depth=depth, height=height, width=width))

    def native(self) -> VolumeDataset:
        """Return the same volumes, each at its own size."""
        return replace(self, resized=False)

    def fingerprint(self, split: str) -> str:
        """Return a text that changes with a split's files."""
        return self.patients.fingerprint(split, self.spec.size)


def volumes(
    *,
    root: Root,
    source: Source = "source/{name}.*",
    target: Target = "target/{name}.*",
    size: Annotated[
        Side | tuple[Side, Side, Side] | None,
        Field(description="Side, or depth, height and width, of the volumes or the parts of them; null: the first's."),
    ] = None,
    source_window: SourceWindow = None,
    target_window: TargetWindow = None,
    held_out: HeldOut = 0.1,
) -> VolumeDataset:
    """Whole volumes in pairs, for networks of three dimensions: NIfTI files, or folders of DICOM series.

    With the augmentation `crop` parts of `size` are trained on, at the volumes' own resolution; without it volumes are
    resized to it.

    Args:
        root: Folder that holds the volumes.
        source: Where sources lie.
        target: Where targets lie.
        size: Depth, height and width.
        source_window: Window of the sources.
        target_window: Window of the targets, whose units fakes have then.
        held_out: Share of the patients that become `val`.

    Returns:
        The data set; one patient's volumes have been read.

    Raises:
        ComponentError: There are no such volumes, or the first can't be read.
    """
    patients = Patients.found(root, source, target, held_out, (source_window, target_window))
    first = patients.first
    sides = first[1].shape[1:] if size is None else (size, size, size) if isinstance(size, int) else size
    given, wanted = image_spec(first[0].shape[0], source_window), image_spec(first[1].shape[0], target_window)
    depth, height, width = sides
    return VolumeDataset(PairSpec(given, wanted, height, width, patients.reading(), depth=depth), patients)
