"""What one image of every pair should be, and the parameters that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

import p2pkit
from p2pkit import ImageSpec
from p2pkit.builtin.datasets.ranges import WINDOWS, Found, Range, told, undeclared

Side = Annotated[int, Field(ge=1, le=16384)]
Size = Annotated[
    Side | tuple[Side, Side] | None,
    Field(description="Side, or height and width, that images are resized to; null: as the first target."),
]
SourceChannels = Annotated[
    int | None, Field(ge=1, le=1024, description="Channels of the source; null: as most files have.")
]
TargetChannels = Annotated[
    int | None, Field(ge=1, le=1024, description="Channels of the target; null: as most files have.")
]
_Pair = tuple[float, float]
FloatRange = Annotated[
    _Pair | tuple[_Pair, _Pair],
    Field(description="Values of float images that become -1 and 1; or two such ranges, of sources and of targets."),
]
_Window = Literal["brain", "subdural", "stroke", "bone", "soft_tissue", "mediastinum", "lung", "liver"]
_RANGE = "Values of the {}s that become -1 and 1, or a window of CT by its name; null: the type's full scale."
SourceRange = Annotated[_Pair | _Window | None, Field(description=_RANGE.format("source"))]
TargetRange = Annotated[_Pair | _Window | None, Field(description=_RANGE.format("target"))]
_Band = Annotated[int, Field(ge=0, le=65535)]
Bands = Annotated[
    tuple[_Band, ...],
    Field(description="Bands or pages of each source file that are taken, from 0, in this order; empty: all."),
]
Shown = Annotated[
    tuple[_Band, ...],
    Field(description="Channels that pictures show, three of them or one, from 0; empty: the first ones."),
]
SourceReader = Annotated[
    p2pkit.ReaderChoice | str | None,
    Field(description="Reader of the sources, by its name or as {use: NAME, params: {...}}; null: told by the files."),
]
TargetReader = Annotated[
    p2pkit.ReaderChoice | str | None, Field(description="Reader of the targets; as `source_reader`.")
]
_ORDER = (torch.uint8, torch.uint16, torch.int16, torch.int32, torch.float32)


@dataclass(frozen=True)
class Intensity:
    """Values on a scale, with the channels given or those of most files.

    Args:
        side: `source` or `target`.
        channels: How many; None for those of most files.
        declared: The range, or a window's name.
        float_range: The range of floats, where none is declared.
        parameter: The parameter to blame for channels that can't be had.
        shown: The channels that pictures show.
    """

    side: Literal["source", "target"]
    channels: int | None = None
    declared: Range = None
    float_range: _Pair | tuple[_Pair, _Pair] = (0.0, 1.0)
    parameter: str = ""
    shown: tuple[int, ...] = ()
    indexed: ClassVar[bool] = False

    def spec(self, sample: Sequence[Found]) -> tuple[ImageSpec, list[str]]:
        """Settle channels, type and range by a sample of images; `ComponentError` where they can't be had.

        Returns:
            What the images are, and what is to be known of it.
        """
        counts = Counter(found.image.shape[0] for found in sample)
        channels = self.channels or counts.most_common(1)[0][0]
        kind = max((found.image.dtype for found in sample), key=_ORDER.index)
        low, high = self._range(sample, kind)
        full = {torch.uint8: 255.0, torch.uint16: 65535.0}.get(kind)
        plain = (low, high) == (0, full) or (kind == torch.float32 and (low, high) not in ((0, 255), (0, 65535)))
        dtype = "" if plain else str(kind).removeprefix("torch.")
        spec = ImageSpec(channels, low=low, high=high, dtype=dtype, shown=self._shown(channels))
        notes = [] if self.declared in WINDOWS else told(sample, spec, self.side, declared=self._own is not None)
        self._fit(sample[0].image, spec)
        return spec, notes

    def _shown(self, channels: int) -> tuple[int, ...]:
        if self.shown and (len(self.shown) not in (1, 3) or max(self.shown) >= channels):
            cause = f"of {channels} channels, from 0 to {channels - 1}, pictures can't show {list(self.shown)}"
            raise p2pkit.ComponentError(cause, remedy="name three, or one", parameter=f"{self.side}_shown")
        return self.shown

    @property
    def _own(self) -> _Pair | None:
        if isinstance(self.declared, str):
            return WINDOWS[self.declared]
        return self.declared

    def _range(self, sample: Sequence[Found], kind: torch.dtype) -> _Pair:
        key = f"{self.side}_range"
        own = self._own
        if own is None and kind == torch.float32:
            key = "float_range"
            first, second = self.float_range
            chosen = (first, second)[self.side == "target"]
            own = chosen if isinstance(chosen, tuple) else (float(first), float(second))  # type: ignore[arg-type]  # no pairs: two floats
        elif own is None and kind in (torch.uint8, torch.uint16):
            own = (0.0, 255.0 if kind == torch.uint8 else 65535.0)
        elif own is None:
            raise undeclared(
                sample, self.side, f"holds {str(kind).removeprefix('torch.')}, which has no scale of its own"
            )
        if not own[0] < own[1]:
            cause = f"the lower end {own[0]:g} is not below the upper end {own[1]:g}"
            raise p2pkit.ComponentError(cause, parameter=key)
        return own

    def _fit(self, first: Tensor, spec: ImageSpec) -> None:
        try:
            p2pkit.conform(first[:, :1, :1], spec)
        except OSError as error:
            parameter = self.parameter or f"{self.side}_channels"
            remedy = f"give {first.shape[0]}, or leave it out" if parameter.endswith("channels") else ""
            raise p2pkit.ComponentError(f"the first image {error}", remedy=remedy, parameter=parameter) from None


@dataclass(frozen=True)
class Labels:
    """Indices of classes, or colours that stand for them.

    Args:
        classes: Number of classes.
        palette: Colour of each class, for masks that are coloured.
        unlabelled: Indices that stand for no class.
    """

    classes: int
    palette: tuple[tuple[int, int, int], ...] = ()
    unlabelled: tuple[int, ...] | None = None
    indexed: ClassVar[bool] = True

    def spec(self, sample: Sequence[Found]) -> tuple[ImageSpec, list[str]]:
        """Check that masks have indices, or colours and a palette to decode them, and that all are classes."""
        spec = ImageSpec(self.classes, kind="labels", palette=self.palette, unlabelled=self.unlabelled or ())
        for found in sample:
            if found.image.shape[0] != 1 and not (self.palette and found.image.shape[0] in (3, 4)):
                cause = f"the first mask has {found.image.shape[0]} channels, not one of class indices"
                remedy = "list the red, green and blue of each class, in the order of the classes"
                raise p2pkit.ComponentError(cause, remedy=remedy, parameter="palette")
        values = sorted({int(v) for found in sample if found.image.shape[0] == 1 for v in torch.unique(found.image)})
        beyond = [value for value in values if not 0 <= value < self.classes and value not in spec.unlabelled]
        if beyond == [_IGNORE] and self.unlabelled is None and max(values[:-1], default=0) > 0:
            return replace(spec, unlabelled=(_IGNORE,)), [
                f"{_IGNORE} in a mask means that a pixel's class is not known"
            ]
        if beyond:
            raise self._beyond(beyond, values)
        return spec, list(self._strange_colours(sample))

    def _beyond(self, beyond: list[int], values: list[int]) -> p2pkit.ComponentError:
        cause = (
            f"masks hold {', '.join(map(str, beyond[:8]))}, where {self.classes} classes have 0 to {self.classes - 1}"
        )
        remedy = f"write classes: {max(beyond) + 1}, or unlabelled: {beyond} where these mean that a class is not known"
        if min(beyond) < 0:
            remedy = f"save {min(beyond)} as {_IGNORE}, and write unlabelled: [{_IGNORE}] where it means that"
            remedy += " a class is not known"
        if values == [0, _IGNORE]:
            remedy = f"for masks of black and white write palette: [[0, 0, 0], [255, 255, 255]]; {remedy}"
        return p2pkit.ComponentError(cause, remedy=remedy, parameter="classes")

    def _strange_colours(self, sample: Sequence[Found]) -> Iterator[str]:
        """Tell of a colour that is far from all of the palette, in files whose colours are exact."""
        counts = Counter[int]()
        for found in sample:
            exact = not found.file.lower().endswith(_SMEARED)
            if found.image.shape[0] >= 3 and found.image.dtype == torch.uint8 and exact:
                red, green, blue = found.image[:3].int()
                codes, times = torch.unique(red * 65536 + green * 256 + blue, return_counts=True)
                counts.update(dict(zip(codes.tolist(), times.tolist(), strict=True)))
        if not counts:
            return
        codes = torch.tensor(list(counts))
        colours = torch.stack([codes // 65536, codes // 256 % 256, codes % 256], 1)
        far = torch.cdist(colours.float(), torch.tensor(self.palette).float()).amin(1) > _FAR
        often = max(codes[far].tolist(), key=counts.__getitem__, default=None)
        if often is not None and counts[often] > _MANY * counts.total():
            colour = ", ".join(map(str, (often // 65536, often // 256 % 256, often % 256)))
            share = f"{counts[often] / counts.total():.1%} of the masks' pixels"
            yield f"{share} are {colour}, which the palette has not: they become the class whose colour is nearest"


_IGNORE = 255
_FAR, _MANY = 32.0, 0.001
_SMEARED = (".jpg", ".jpeg", ".webp")


class Derivation(Protocol):
    """A way to make the source out of the target."""

    def spec(self, photo: ImageSpec) -> ImageSpec:
        """Return what the source is, given what the target is."""
        ...

    def __call__(self, photo: Tensor, spec: ImageSpec) -> Tensor:
        """Make the stored source of a stored target; `OSError` where it can't be made."""
        ...

    @property
    def edges(self) -> p2pkit.Edges | None:
        """How edges are drawn, where these are the source."""
        ...
