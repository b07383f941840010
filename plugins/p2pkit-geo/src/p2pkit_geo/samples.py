"""Data sets that give dicts of tensors, as torchgeo's do, as pairs."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Annotated, Any, Protocol, overload

import p2pkit
import torch
from p2pkit import ImageSpec, LazyPairs, Pair, PairSpec, split_of
from pydantic import Field
from torch import Tensor

_ONE_AT_A_TIME = Lock()
"""torchgeo's data sets share open rasters, which GDAL lets one thread read at a time."""
Range = tuple[float, float]
Side = Annotated[int, Field(ge=1, le=16384)]


class Samples(Protocol):
    """What torchgeo's data sets are: a length, and by number a dict of tensors."""

    def __len__(self) -> int:
        """Return how many samples there are."""
        ...

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        """Return one."""
        ...


class Placed(Protocol):
    """What torchgeo's `GeoDataset` is: a dict of tensors by a place, as its samplers give them."""

    def __getitem__(self, query: Any, /) -> Mapping[str, Any]:
        """Return the sample of a place."""
        ...


class Chips(Sequence[Mapping[str, Any]]):
    """Samples by number of a data set that gives them by place.

    Args:
        dataset: A `GeoDataset` of torchgeo, such as the intersection of two.
        places: The places, such as a `GridGeoSampler`; those of a sampler that draws are drawn once.
    """

    def __init__(self, dataset: Placed, places: Iterable[Any]) -> None:
        self.dataset, self.places = dataset, tuple(places)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Chips: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Chips:
        """Return the sample of one place, or fewer places."""
        places = self.places[index]
        return Chips(self.dataset, places) if isinstance(index, slice) else self.dataset[places]


@dataclass(frozen=True)
class SamplePairs(LazyPairs):
    """The pairs of one split, each made when it is asked for."""

    samples: Samples = field(repr=False)
    keys: tuple[str, str]
    spec: PairSpec

    def __len__(self) -> int:
        return len(self.samples)

    def pair(self, index: int) -> Pair:
        """Return one pair; `DataError` names a sample that can't be used."""
        with _ONE_AT_A_TIME:
            sample = self.samples[index]
        specs = (self.spec.source, self.spec.target)
        try:
            source, target = (_image(sample, *side, self.spec) for side in zip(self.keys, specs, strict=True))
        except OSError as error:
            raise p2pkit.DataError(p2pkit.Problem(f"sample {index}", str(error))) from None
        return Pair(source, target, f"{index:06}")


def _image(sample: Mapping[str, Any], key: str, spec: ImageSpec, images: PairSpec) -> Tensor:
    labels, wanted = spec.kind == "labels", p2pkit.stored_type(spec)
    image = _stored(sample, key, labels=labels)
    if image.is_floating_point() and not wanted.is_floating_point:  # torchgeo makes floats of bytes
        image = image.round().clamp(spec.low, spec.high).to(wanted)
    return p2pkit.resize(p2pkit.conform(image, spec), images.height, images.width, nearest=labels)


def _stored(sample: Mapping[str, Any], key: str, *, labels: bool) -> Tensor:
    """Return an image (C, H, W) of a sample, in a type that images are stored in."""
    if key not in sample:
        raise OSError(f"has no {key!r}; it has {', '.join(map(str, sample))}")
    image = torch.as_tensor(sample[key])
    image = image[None] if image.ndim == 2 else image
    if image.ndim != 3:
        raise OSError(f"its {key} is of shape {tuple(image.shape)}, where (C, H, W) is wanted")
    if labels:
        return image.to(torch.int32)
    return image if image.dtype in (torch.uint8, torch.uint16) else image.float()


@dataclass(frozen=True)
class SampleDataset:
    """Pairs of data sets that give dicts; see `p2pkit.PairDataset`.

    Args:
        spec: What the images are.
        samples: The data set of each split.
        keys: What a sample calls the source, and the target.
    """

    spec: PairSpec
    samples: Mapping[str, Samples] = field(repr=False)
    keys: tuple[str, str]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(self.samples)

    def pairs(self, split: str) -> SamplePairs:
        """Return the pairs of a split; `DataError` where there is no such split."""
        return SamplePairs(split_of(self.samples, split), self.keys, self.spec)

    def at(self, height: int, width: int) -> SampleDataset:
        """Return the same data at another size."""
        return replace(self, spec=replace(self.spec, height=height, width=width))


def as_pairs(
    samples: Mapping[str, Samples],
    *,
    source: str = "image",
    target: str = "mask",
    source_classes: int | None = None,
    target_classes: int | None = None,
    source_range: Range | None = None,
    target_range: Range | None = None,
    size: tuple[int, int] | None = None,
) -> SampleDataset:
    """Make pairs of data sets that give dicts of tensors; torchgeo's are such, by number or by a list of queries.

    Args:
        samples: The data set of each split, `train` among them.
        source: What a sample calls the source.
        target: What it calls the target.
        source_classes: How many classes the source's values are indices of; None for values on a scale.
        target_classes: The same of the target.
        source_range: The values that become black and white; None for bytes from 0 to 255, floats from 0 to 1.
        target_range: The same of the target.
        size: Height and width; None for those of the first sample's target.

    Returns:
        The data set; the first sample of `train` has been read.

    Raises:
        p2pkit.ComponentError: There are no samples, or the first is not what is said.
    """
    if not len(samples.get("train", ())):
        raise p2pkit.ComponentError("there is no split train with samples in it", parameter="splits")
    first = samples["train"][0]
    try:
        made_from, made_of = (
            _stored(first, key, labels=bool(classes))
            for key, classes in ((source, source_classes), (target, target_classes))
        )
    except OSError as error:
        raise p2pkit.ComponentError(f"the first sample {error}", parameter="source") from None
    height, width = size or (made_of.shape[1], made_of.shape[2])
    specs = _spec(made_from, source_classes, source_range), _spec(made_of, target_classes, target_range)
    return SampleDataset(PairSpec(*specs, height, width), samples, (source, target))


def _spec(image: Tensor, classes: int | None, given: Range | None) -> ImageSpec:
    if classes:
        return ImageSpec(classes, kind="labels", unlabelled=(255,) if classes <= 255 else ())
    full = {torch.uint8: 255.0, torch.uint16: 65535.0}.get(image.dtype, 1.0)
    low, high = given or (0.0, full)
    dtype = "" if given is None or image.is_floating_point() else str(image.dtype).removeprefix("torch.")
    return ImageSpec(image.shape[0], low=low, high=high, dtype=dtype)


def torchgeo_pairs(
    *,
    name: Annotated[str, Field(description="Class in torchgeo.datasets, such as LandCoverAI.")],
    arguments: Annotated[
        dict[str, Any] | None, Field(description="Arguments of the class that all splits have, such as root.")
    ] = None,
    splits: Annotated[
        dict[str, dict[str, Any]] | None,
        Field(description="For each split the arguments that it has of its own; null: split=train, val and test."),
    ] = None,
    source: Annotated[str, Field(description="What a sample calls the source.")] = "image",
    target: Annotated[str, Field(description="What a sample calls the target.")] = "mask",
    source_classes: Annotated[int | None, Field(ge=2, le=65536, description="Number of the source's classes.")] = None,
    target_classes: Annotated[int | None, Field(ge=2, le=65536, description="Number of the target's classes.")] = None,
    source_range: Annotated[Range | None, Field(description="Values of the source that become -1 and 1.")] = None,
    target_range: Annotated[Range | None, Field(description="Values of the target that become -1 and 1.")] = None,
    size: Annotated[Side | tuple[Side, Side] | None, Field(description="Side, or height and width.")] = None,
) -> SampleDataset:
    """Samples of one of torchgeo's data sets, as source and target.

    Raises:
        p2pkit.ComponentError: torchgeo is not installed, has no such class, or the class can't be opened.
    """
    try:
        known = importlib.import_module("torchgeo.datasets")
    except ImportError as error:
        cause = f"torchgeo can't be imported: {error}"
        raise p2pkit.ComponentError(cause, remedy="pip install 'p2pkit-geo[torchgeo]'", parameter="name") from None
    factory = getattr(known, name, None)
    if not isinstance(factory, type) or not hasattr(factory, "__getitem__"):
        raise p2pkit.ComponentError(f"torchgeo.datasets has no data set {name!r}", parameter="name")
    if issubclass(factory, getattr(known, "GeoDataset", ())):
        cause = f"{name} gives samples by place and not by number"
        remedy = "choose places by one of torchgeo.samplers, and make pairs of p2pkit_geo.Chips in a plugin of your own"
        raise p2pkit.ComponentError(cause, remedy=remedy, parameter="name")
    own = splits or {split: {"split": split} for split in ("train", "val", "test")}
    samples: dict[str, Any]
    try:
        samples = {split: factory(**{**(arguments or {}), **given}) for split, given in own.items()}
    except Exception as error:  # each class raises what it likes
        cause = f"{name} can't be opened: {p2pkit.first_line(error, typed=True)}"
        raise p2pkit.ComponentError(cause, parameter="arguments") from error
    return as_pairs(
        samples,
        source=source,
        target=target,
        source_classes=source_classes,
        target_classes=target_classes,
        source_range=source_range,
        target_range=target_range,
        size=(size, size) if isinstance(size, int) else size,
    )
