"""What images are, and what stands beside them: their specs, and one pair of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeGuard

from p2pkit.untyped import Plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Kind = Literal["intensity", "labels"]


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What one image of every pair is.

    Args:
        channels: Planes of the tensor a network sees; for labels the number of classes.
        kind: `intensity` for values on a scale; `labels` for an index map, which networks see as one plane a class.
        low: The stored value that becomes -1.
        high: The stored value that becomes 1 (255 for 8-bit images, 65535 for 16-bit ones).
        palette: Colours to show the classes in, red-green-blue of 0..255; labels only.
        unlabelled: Values that mean that a pixel's class is not known, classes or others; losses and metrics of
            classes pass these pixels over.
        lightness: Whether a colour image becomes one plane by its CIE lightness and not by its luma.
        dtype: The type in which values are stored; empty for `uint8` and `uint16` on their full scales, else `float32`.
        shown: The three planes, or the one, that pictures show, from 0; empty for the first ones.
    """

    channels: int
    kind: Kind = "intensity"
    low: float = 0.0
    high: float = 255.0
    palette: tuple[tuple[int, int, int], ...] = ()
    unlabelled: tuple[int, ...] = ()
    lightness: bool = False
    dtype: str = ""
    shown: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """What a file of a plugin's format holds.

    Args:
        pixels: (H, W) or (H, W, C), of a volume (D, H, W, C); whole numbers or floats.
        meta: What the file holds beside its pixels, for the reader alone: it is given back to `write` for the fake.
    """

    pixels: NDArray[np.generic]
    meta: object = None


@dataclass(frozen=True, slots=True)
class ReaderChoice:
    """Which reader reads some files, where that is not left to their names.

    Args:
        use: Its name.
        params: Its parameters.
    """

    use: str
    params: Plain = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """What a vector beside the images of every pair is; networks see it as (B, size) of float32.

    Args:
        size: How many numbers it has; of a class, how many classes there are.
        kind: `numbers` for numbers as they are; `class` for the index of one, which networks see as 1 in its place and
            0 in all others; `noise` for normal numbers that no pair holds, since they are drawn.
        names: What the classes are called.
    """

    size: int
    kind: Literal["numbers", "class", "noise"] = "numbers"
    names: tuple[str, ...] = ()


ExtraSpec = ImageSpec | VectorSpec
SIDES = {2: "height x width", 3: "depth x height x width"}
"""The sides of images and of volumes, in order."""
RESERVED = ("source", "target", "fake", "name", "split", "key")
"""Names that no extra may have, since an image, a column of a table, or a field of a shard has it."""


@dataclass(frozen=True, slots=True)
class Edges:
    """How the edges of a photo are drawn.

    Args:
        detector: `canny` draws thin lines, `sobel` the slopes' strength.
        low: Slope below which nothing is an edge; white to black is 4.
        high: Slope from which on everything is an edge.
    """

    detector: Literal["canny", "sobel"] = "canny"
    low: float = 0.3
    high: float = 0.8


@dataclass(frozen=True, slots=True)
class Slices:
    """How a volume is cut into slices.

    Args:
        axis: The side that is cut along: 0 for depth, 1 for height, 2 for width.
        neighbours: Slices on either side that are channels of each one too; at the ends the last ones come again.
    """

    axis: int = 0
    neighbours: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a data set does to the files of a source, which a model has to do to the files that it translates.

    Args:
        half: The part of a file's width that is the source.
        aspect: Width of whole files over their height, where `half` is one of them; 0 where they differ.
        edges: How a photo's edges are drawn, where these are the source.
        stacked: Channels of each of several files that make one source.
        bands: The bands or pages of a file that are taken, from 0; empty for all.
        suffix: What the targets' files end with, as far as it can be written without loss.
        painted: The few colours, red-green-blue of 0..255, that colour sources are painted in; empty for photos.
        reader: Which plugin's reader reads the files, or which of p2pkit's own with other parameters than it has; None
            for those that p2pkit reads by itself.
        slices: How volumes are cut into sources, where these are slices.
        percentiles: Shares of a file's values of which the lowest and the highest become the source's `low` and `high`,
            each file by its own; None where values mean the same in all files.
    """

    half: Literal["whole", "left", "right"] = "whole"
    aspect: float = 0.0
    edges: Edges | None = None
    stacked: tuple[int, ...] = ()
    bands: tuple[int, ...] = ()
    suffix: str = ""
    painted: tuple[tuple[int, int, int], ...] = ()
    reader: ReaderChoice | None = field(default=None, repr=False)
    slices: Slices | None = None
    percentiles: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PairSpec:
    """What the images of a run are; a component's factory gets it as `images`.

    Args:
        source: The image that the generator is given.
        target: The image that it should make.
        height: Rows of both images, in pixels.
        width: Columns of both images, in pixels.
        reading: How files become sources.
        extras: By name what stands beside them: images of the same size, and vectors.
        mask: Which of the extras, an image of one channel, says what counts: where it is below its middle, losses,
            the discriminator and metrics are shown the target in the place of the fake; empty: all counts.
        depth: Slices of both, where they are volumes; 0 for images.

    Raises:
        ValueError: An extra's name can't be that of an argument, or it is an image's own; or there is no such mask.
    """

    source: ImageSpec
    target: ImageSpec
    height: int
    width: int
    reading: Reading = Reading()
    extras: Mapping[str, ExtraSpec] = field(default_factory=dict, hash=False, repr=False)
    mask: str = field(default="", repr=False)
    depth: int = 0

    def __post_init__(self) -> None:
        if self.mask and getattr(self.extras.get(self.mask), "channels", 0) != 1:
            raise ValueError(f"the mask {self.mask!r} has to be one of the extras, an image of one channel")
        for name in self.extras:
            if not name.isidentifier() or name in RESERVED:
                raise ValueError(
                    f"an extra can't be called {name!r}: take a word that is none of {', '.join(RESERVED)}"
                )

    @property
    def size(self) -> tuple[int, ...]:
        """Height and width in pixels; of volumes depth, height and width."""
        return (self.depth, self.height, self.width) if self.depth else (self.height, self.width)

    @property
    def dims(self) -> int:
        """How many dimensions they have in space: 2 for images, 3 for volumes."""
        return len(self.size)

    def sized(self, size: Sequence[int]) -> PairSpec:
        """Return the spec of the same images or volumes at another size."""
        *depth, height, width = size
        return replace(self, depth=depth[0] if depth else 0, height=height, width=width)

    @property
    def drawn(self) -> dict[str, VectorSpec]:
        """The extras that are drawn, by name."""
        return {name: spec for name, spec in sorted(self.extras.items()) if is_drawn(spec)}

    @property
    def given(self) -> dict[str, ExtraSpec]:
        """The extras that pairs hold, by name."""
        return {name: spec for name, spec in sorted(self.extras.items()) if not is_drawn(spec)}

    @property
    def stored(self) -> dict[str, ExtraSpec]:
        """All that a pair holds, by name: its two images, and its extras."""
        return {"source": self.source, "target": self.target, **self.given}

    @property
    def images(self) -> dict[str, ImageSpec]:
        """All images that a pair holds, by name."""
        return {name: spec for name, spec in self.stored.items() if isinstance(spec, ImageSpec)}


def times(sides: Iterable[int]) -> str:
    """Write a size as people do: `256 x 128`."""
    return " x ".join(map(str, sides))


def is_drawn(spec: ExtraSpec) -> TypeGuard[VectorSpec]:
    """Tell whether an extra is drawn, and no pair holds it."""
    return isinstance(spec, VectorSpec) and spec.kind == "noise"


@dataclass(frozen=True, slots=True)
class Pair:
    """One source image and the target image that belongs to it, as stored, with what stands beside them.

    Args:
        source: The image that the generator is given.
        target: The image that it should make.
        name: What it is called.
        extras: By name what the data set's spec says in its `extras`, but for noise.

    Shape: images (C_stored, H, W), volumes (C_stored, D, H, W), integer or float values between the spec's `low` and
    `high`; a label map has one plane, which holds the classes' indices. Vectors (size,); a class is a whole number, ().
    """

    source: Tensor
    target: Tensor
    name: str
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def stored(self) -> dict[str, Tensor]:
        """All that it holds, by name, in the order in which specs and batches have it."""
        return {"source": self.source, "target": self.target, **dict(sorted(self.extras.items()))}
