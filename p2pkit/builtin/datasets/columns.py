"""Columns of a table that stand beside the images of its pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import Field

import p2pkit
from p2pkit import ImageSpec, VectorSpec
from p2pkit.builtin.datasets.files import File, FilePart, some
from p2pkit.builtin.datasets.ranges import Found
from p2pkit.builtin.datasets.sides import FloatRange, Intensity
from p2pkit.untyped import Json

Extras = Annotated[
    dict[str, Literal["image", "class", "numbers"]] | None,
    Field(
        description="Columns that networks take by their names: of images, of classes' names, or of numbers (several "
        "with blanks between them)."
    ),
]
Mask = Annotated[
    str,
    Field(
        description="The extra, an image of one channel, that says what counts: where it is dark, losses and metrics "
        "pass the pixels over. Empty: all counts."
    ),
]
Value = FilePart | tuple[float, ...] | int
_SAMPLE = 16


@dataclass(frozen=True)
class Column:
    """A column: what it holds, and its value in each row."""

    spec: ImageSpec | VectorSpec
    values: Sequence[Value]


def columns(path: Path, wanted: Mapping[str, str], float_range: FloatRange) -> dict[str, Column]:
    """Read the columns that stand beside the images.

    Args:
        path: The table.
        wanted: By name what each column holds.
        float_range: The range of images of floats.

    Raises:
        p2pkit.ComponentError: A column is missing, or a row of it can't be read.
    """
    if not wanted:
        return {}
    reserved = {"source", "target", "fake", "name", "split", "key"} & wanted.keys()
    if reserved:
        raise _blame(f"{some(sorted(reserved))} can't stand beside the images", "take a column of another name")
    try:
        rows = p2pkit.manifest_rows(path, ("source", "target", *wanted))
    except p2pkit.DataError as error:
        raise _blame(error.problems[0].cause, error.problems[0].remedy) from None
    empty = [f"line {line}: no {name}" for line, row in rows for name in wanted if row.get(name) in (None, "", [])]
    if empty:
        raise _blame(f"{path} has {len(empty)} empty entries: {some(empty)}", "fill in these lines")
    make: dict[str, Callable[[str, Sequence[tuple[int, Json]]], Column]] = {
        "image": lambda name, cells: _images(path.parent, cells, float_range),
        "class": lambda name, cells: _classes(cells),
        "numbers": _numbers,
    }
    return {name: make[kind](name, [(line, row[name]) for line, row in rows]) for name, kind in wanted.items()}


def _images(folder: Path, cells: Sequence[tuple[int, Json]], float_range: FloatRange) -> Column:
    missing = [f"line {line}: {cell} does not exist" for line, cell in cells if not (folder / str(cell)).is_file()]
    if missing:
        raise _blame(f"{len(missing)} images are missing: {some(missing)}", "mend these lines")
    parts = [FilePart(File(folder, PurePath(cell).as_posix())) for _, cell in cells]
    found = []
    for part in parts[:: max(1, len(parts) // _SAMPLE)][:_SAMPLE]:
        try:
            found.append(Found(str(part.file), part.file.read()))
        except OSError as error:
            raise _blame(f"{part.file} can't be read: {error.strerror or error}", "mend the file") from None
    return Column(Intensity("source", float_range=float_range, parameter="extras").spec(found)[0], parts)


def _classes(cells: Sequence[tuple[int, Json]]) -> Column:
    texts = [str(cell) for _, cell in cells]
    whole = all(text.isdecimal() for text in texts)
    names = tuple(sorted(set(texts), key=lambda text: (int(text), text) if whole else (0, text)))
    places = {name: place for place, name in enumerate(names)}
    return Column(VectorSpec(len(names), "class", names), [places[text] for text in texts])


def _numbers(name: str, cells: Sequence[tuple[int, Json]]) -> Column:
    values: list[tuple[float, ...]] = []
    for line, cell in cells:
        several = cell if isinstance(cell, list) else cell.split() if isinstance(cell, str) else [cell]
        try:
            values.append(tuple(map(float, several)))
        except (TypeError, ValueError):
            raise _blame(f"line {line}: {name} is {cell!r}, where numbers are wanted") from None
        if len(values[-1]) != len(values[0]):
            raise _blame(f"line {line}: {name} has {len(values[-1])} numbers, and the first line {len(values[0])}")
    return Column(VectorSpec(len(values[0])), values)


def _blame(cause: str, remedy: str = "") -> p2pkit.ComponentError:
    return p2pkit.ComponentError(cause, remedy=remedy, parameter="extras")
