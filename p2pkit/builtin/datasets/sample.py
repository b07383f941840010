"""A few pairs of a data set, read to know what all of them are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from torch import Tensor

import p2pkit
from p2pkit.builtin.datasets.files import File, FilePart, some
from p2pkit.builtin.datasets.layouts import Item, SplitItems
from p2pkit.builtin.datasets.ranges import Found

COUNT = 16
MEND = "mend or remove the file, or leave such files out with `unreadable: skip`"
_ALIKE = 0.02


@dataclass(frozen=True)
class Sample:
    """Pairs that could be read.

    Args:
        items: Where they are.
        sources: Their sources; the targets where these make the sources.
        targets: Their targets.
        channels: Channels of each file that makes the first source.
        aspect: Width of whole files over their height, 0 where that differs.
    """

    items: tuple[Item, ...]
    sources: tuple[Found, ...]
    targets: tuple[Found, ...]
    channels: tuple[int, ...]
    aspect: float

    def notes(self, size: object) -> Iterator[str]:
        """Say that images are of different sizes, where no size is given."""
        sizes = sorted({f"{found.image.shape[2]} x {found.image.shape[1]}" for found in self.targets})
        if size is None and len(sizes) > 1:
            first = self.targets[0].image
            yield f"images are of different sizes ({some(sizes, 3)}): all become {first.shape[2]} x {first.shape[1]}"

    def differs_from(self, height: int, width: int) -> bool:
        """Say whether targets are of other proportions than a size."""
        shapes = (found.image.shape[1:] for found in self.targets)
        return any(abs(columns * height / (rows * width) - 1) > _ALIKE for rows, columns in shapes)


def take_sample(
    items: SplitItems, source_indexed: bool, target_indexed: bool, bands: tuple[int, ...], parameter: str
) -> Sample:
    """Read pairs that are spread over all splits; those that can't be read are passed over.

    Args:
        items: All pairs.
        source_indexed: Whether the values of sources are classes.
        target_indexed: Whether those of targets are.
        bands: Which bands of a source are taken; all where none is named.
        parameter: The parameter of the data set that an error speaks of.

    Raises:
        p2pkit.ComponentError: None of them can be read.
    """
    every = list(chain.from_iterable(items.values()))
    step = max(1, len(every) // COUNT)
    chosen = every[::step][:COUNT]

    def read(item: Item) -> tuple[Item, list[Tensor], Tensor, float] | str:
        try:
            target, aspect = _stacked(item.target, target_indexed, ())
            sources, _ = _stacked(item.source, source_indexed, bands) if item.source else (target, aspect)
        except p2pkit.DataError as error:
            return f"{error.problems[0].path} {error.problems[0].cause}"
        return item, sources, _joined(target), aspect

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(read, chosen))
    found = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    if not found:
        causes = [outcome for outcome in outcomes if isinstance(outcome, str)]
        cause = f"none of the first {len(causes)} images can be used: {some(causes, 3)}"
        raise p2pkit.ComponentError(cause, remedy="mend these files", parameter=parameter)
    aspects = [aspect for *_, aspect in found]
    return Sample(
        tuple(item for item, *_ in found),
        tuple(Found(_name(item.source or item.target), _joined(sources)) for item, sources, *_ in found),
        tuple(Found(_name(item.target), target) for item, _, target, _ in found),
        tuple(image.shape[0] for image in found[0][1]),
        aspects[0] if all(abs(aspect / aspects[0] - 1) <= _ALIKE for aspect in aspects) else 0.0,
    )


def _stacked(parts: Sequence[FilePart], indexed: bool, bands: tuple[int, ...]) -> tuple[list[Tensor], float]:
    images = []
    for part in parts:
        with naming(part.file):
            whole = part.file.read(indexed=indexed)
            images.append(p2pkit.choose_bands(part.cut(whole), bands))
    return images, whole.shape[2] / whole.shape[1]


def _joined(images: Sequence[Tensor]) -> Tensor:
    """Stand for several images by one that has the type of the first and the channels of all."""
    first = images[0]
    return first if len(images) == 1 else first[:1].expand(sum(image.shape[0] for image in images), -1, -1)


def _name(parts: Sequence[FilePart]) -> str:
    return str(parts[0].file)


@contextmanager
def naming(file: File) -> Iterator[None]:
    """Turn a failure into the error for users that names the file."""
    try:
        yield
    except OSError as error:
        raise p2pkit.DataError(p2pkit.Problem(str(file), error.strerror or str(error), MEND)) from None
