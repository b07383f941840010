"""Pairs of slices of volumes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

import p2pkit
from p2pkit import ImageSpec, LazyPairs, Pair, PairSpec, Slices
from p2pkit_monai.files import Item, read_volume
from p2pkit_monai.volumes import HeldOut, Patients, Root, Side, Source, Target, conformed, image_spec
from p2pkit_monai.windows import SourceWindow, TargetWindow

AXES = {"axial": 0, "coronal": 1, "sagittal": 2}
_AIR = 0.05
"""What share of the window's width a value has to be above its lower end to be more than air."""


@dataclass(frozen=True)
class SlicePairs(LazyPairs):
    """Slices of one split, cut when they are asked for."""

    patients: Patients
    places: tuple[tuple[Item, int], ...]
    spec: PairSpec
    cut: Slices
    resized: bool

    def __len__(self) -> int:
        return len(self.places)

    def pair(self, index: int) -> Pair:
        """Read one pair; `DataError` names a file that can't be used."""
        item, place = self.places[index]
        source, target = self.patients.read(item)
        sources = p2pkit.cut_slices(source, self.cut, [place])[0]
        targets = p2pkit.cut_slices(target, replace(self.cut, neighbours=0), [place])[0]
        sources = conformed(sources, self.spec.source, item)
        targets = conformed(targets, self.spec.target, item)
        if self.resized:
            sources, targets = (p2pkit.resize(each, self.spec.height, self.spec.width) for each in (sources, targets))
        return Pair(sources, targets, f"{item.name}/{place:04}")


@dataclass(frozen=True)
class SliceDataset:
    """Slices of volumes in pairs; see `p2pkit.PairDataset`.

    Args:
        spec: What the slices are.
        patients: Where the volumes are.
        cut: How they are cut.
        least: Share of a target's pixels that have to be more than air.
        resized: Whether slices are resized to the spec's size.
    """

    spec: PairSpec
    patients: Patients
    cut: Slices
    least: float
    resized: bool = True
    _places: dict[str, tuple[tuple[Item, int], ...]] = field(default_factory=dict, compare=False, repr=False)

    resampling = "bicubic"

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.patients.items)

    @property
    def notes(self) -> list[str]:
        """What is to be known before training."""
        return self.patients.notes

    def pairs(self, split: str) -> SlicePairs:
        """Return the slices of a split, patient by patient; the first call reads all of its targets."""
        if split not in self._places:
            found = ((item, place) for item in self.patients.of(split) for place in self._full(item))
            self._places[split] = tuple(found)
        return SlicePairs(self.patients, self._places[split], self.spec, self.cut, self.resized)

    def _full(self, item: Item) -> list[int]:
        """Return the slices of a patient that are kept."""
        target = read_volume(item.target)
        planes = self.patients.scaled(target, self.patients.target).movedim(self.cut.axis + 1, 0)
        low, high = self.spec.target.low, self.spec.target.high
        shares = (planes.float() > low + _AIR * (high - low)).float().flatten(1).mean(1)
        return [place for place, share in enumerate(shares.tolist()) if share >= self.least]

    def at(self, height: int, width: int) -> SliceDataset:
        """Return the same slices at another size."""
        return replace(self, spec=replace(self.spec, height=height, width=width))

    def native(self) -> SliceDataset:
        """Return the same slices, each at its own size."""
        return replace(self, resized=False)

    def fingerprint(self, split: str) -> str:
        """Return a text that changes with a split's files, and with how they are cut."""
        return self.patients.fingerprint(split, self.spec.size, self.cut, self.least)


def volume_slices(
    *,
    root: Root,
    source: Source = "source/{name}.*",
    target: Target = "target/{name}.*",
    axis: Annotated[
        Literal["axial", "coronal", "sagittal"], Field(description="The plane of the slices, in the patient.")
    ] = "axial",
    neighbours: Annotated[
        int, Field(ge=0, le=16, description="Slices on either side that are channels of the source too.")
    ] = 0,
    size: Annotated[
        Side | tuple[Side, Side] | None,
        Field(description="Side, or height and width, that slices are resized to; null: the first's."),
    ] = None,
    source_window: SourceWindow = None,
    target_window: TargetWindow = None,
    skip_empty: Annotated[
        float,
        Field(ge=0, le=1, description="Share of a target's pixels above air under which its slice is left out."),
    ] = 0.02,
    held_out: HeldOut = 0.1,
) -> SliceDataset:
    """Slices of volumes in pairs: NIfTI files, or folders of DICOM series; all slices of a patient are in one split.

    Args:
        root: Folder that holds the volumes.
        source: Where sources lie.
        target: Where targets lie.
        axis: The plane of the slices.
        neighbours: Slices on either side that are channels of the source too; at the ends the last ones come again.
        size: Side, or height and width.
        source_window: Window of the sources.
        target_window: Window of the targets, whose units fakes have then.
        skip_empty: Share of a target's pixels above air under which its slice is left out; air is the lowest twentieth
            of the window.
        held_out: Share of the patients that become `val`.

    Returns:
        The data set; one patient's volumes have been read.

    Raises:
        ComponentError: There are no such volumes, or the first can't be read.
    """
    patients = Patients.found(root, source, target, held_out, (source_window, target_window))
    cut = Slices(AXES[axis], neighbours)
    first = [p2pkit.cut_slices(each, replace(cut, neighbours=count), [0])[0] for each, count in _sides(patients, cut)]
    height, width = first[1].shape[1:] if size is None else (size, size) if isinstance(size, int) else size
    given, wanted = _specs(first, source_window, target_window, neighbours)
    return SliceDataset(PairSpec(given, wanted, height, width, patients.reading(cut)), patients, cut, skip_empty)


def _sides(patients: Patients, cut: Slices) -> list[tuple[Tensor, int]]:
    source, target = patients.first
    return [(source, cut.neighbours), (target, 0)]


def _specs(
    first: list[Tensor], source_window: SourceWindow, target_window: TargetWindow, neighbours: int
) -> tuple[ImageSpec, ImageSpec]:
    """Return what both sides are; pictures of a source show the slice itself and not its neighbours."""
    source, target = (
        image_spec(each.shape[0], window) for each, window in zip(first, (source_window, target_window), strict=True)
    )
    own = source.channels // (2 * neighbours + 1)
    shown = (neighbours * own,) if neighbours else ()
    return replace(source, shown=shown), target
