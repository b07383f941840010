"""Data sets that a table lists."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Annotated

from pydantic import Field

import p2pkit
from p2pkit.builtin.datasets.columns import Column, Extras, Mask, Value, columns
from p2pkit.builtin.datasets.file_pairs import FileDataset, open_pairs
from p2pkit.builtin.datasets.files import File, FilePart, some
from p2pkit.builtin.datasets.layouts import HeldOut, Item, Layout, SplitItems, hold_out, read_by
from p2pkit.builtin.datasets.names import split_of
from p2pkit.builtin.datasets.sides import (
    Bands,
    FloatRange,
    Intensity,
    Shown,
    Size,
    SourceChannels,
    SourceRange,
    SourceReader,
    TargetChannels,
    TargetRange,
    TargetReader,
)
from p2pkit.untyped import Plain

Row = Plain


def manifest(
    *,
    path: Annotated[Path, Field(description="CSV file, or JSON lines (.jsonl, .ndjson, .json).")],
    size: Size = None,
    source_channels: SourceChannels = None,
    target_channels: TargetChannels = None,
    source_range: SourceRange = None,
    target_range: TargetRange = None,
    source_bands: Bands = (),
    source_reader: SourceReader = None,
    target_reader: TargetReader = None,
    source_shown: Shown = (),
    target_shown: Shown = (),
    float_range: FloatRange = (0.0, 1.0),
    held_out: HeldOut = 0.1,
    extras: Extras = None,
    mask: Mask = "",
) -> FileDataset:
    """A table of pairs with columns source and target, and if wanted split and name, and others that are extras.

    Relative paths start at the table's folder. In JSON lines source and target may be lists of files, whose channels
    are stacked. Without a column split the pairs are split by their names.

    Raises:
        p2pkit.ComponentError: The table can't be read, lacks columns, or names files that do not exist.
    """
    path = path.expanduser()
    beside = columns(path, extras or {}, float_range)
    splits = _splits(path, held_out, beside)
    data = open_pairs(
        read_by(Layout(splits, tuple(_shared(splits))), source_reader, target_reader),
        size=size,
        source=Intensity("source", source_channels, source_range, float_range, shown=source_shown),
        target=Intensity("target", target_channels, target_range, float_range, shown=target_shown),
        bands=source_bands,
        extras={name: column.spec for name, column in beside.items()},
        parameter="path",
    )
    try:
        return replace(data, spec=replace(data.spec, mask=mask))
    except ValueError as error:
        remedy = f"write extras: {{{mask}: image}}, and grey images in this column"
        raise p2pkit.ComponentError(str(error), remedy=remedy, parameter="mask") from None


def _splits(path: Path, held_out: float, extras: dict[str, Column]) -> SplitItems:
    try:
        numbered = p2pkit.manifest_rows(path)
    except p2pkit.DataError as error:
        raise _blame(error.problems[0].cause, error.problems[0].remedy) from None
    problems = [f"line {line}: {problem}" for line, row in numbered for problem in _problems(path.parent, row)]
    items = [
        (replace(_item(path.parent, row), extras=own), _split(row), line)
        for (line, row), own in zip(numbered, _beside(extras, len(numbered)), strict=True)
        if not problems
    ]
    problems += _doubles(items)
    if problems:
        raise _blame(f"{path} has {len(problems)} wrong entries: {some(problems)}", "mend or remove these lines")
    if not any(split for _, split, _ in items):
        return hold_out((item for item, _, _ in items), held_out, "path")
    splits = dict.fromkeys(split for _, split, _ in items)
    return {split: tuple(item for item, own, _ in items if own == split) for split in splits}


def _beside(extras: dict[str, Column], count: int) -> list[dict[str, Value]]:
    return [{name: column.values[row] for name, column in extras.items()} for row in range(count)]


def _problems(folder: Path, row: Row) -> Iterator[str]:
    for column in ("source", "target"):
        paths = _paths(row.get(column))
        if not paths:
            yield f"no {column}"
        yield from (f"{column} {path} does not exist" for path in paths if not (folder / path).is_file())
    for column in ("split", "name"):
        if not isinstance(row.get(column) or "", str):
            yield f"{column} is not text"


def _split(row: Row) -> str:
    written = (row.get("split") or "").strip()
    return split_of(written) or written


def _doubles(items: list[tuple[Item, str, int]]) -> Iterator[str]:
    lines: dict[tuple[str, str], int] = {}
    some_split = any(split for _, split, _ in items)
    for item, split, line in items:
        if some_split and not split:
            yield f"line {line}: no split, where other lines have one"
        first = lines.setdefault((split, item.name), line)
        if first != line:
            yield f"line {line}: the name {item.name} is that of line {first}"


def _shared(splits: SplitItems) -> Iterator[str]:
    """Say which files are for training and for evaluation too, whose scores then say less than they seem to."""
    files = {split: _files(items) for split, items in splits.items()}
    for split, own in files.items():
        if split != "train" and (both := sorted(own & files.get("train", set()))):
            verb = "is" if len(both) == 1 else "are"
            yield f"{some(both)} {verb} in train and in {split}: scores of {split} are of what was trained on"


def _files(items: Sequence[Item]) -> set[str]:
    return {os.path.normpath(part.file.root / part.file.name) for item in items for part in item.parts}


def _paths(value: object) -> list[str]:
    paths = value if isinstance(value, list) else [value]
    return [path for path in paths if isinstance(path, str) and path] if all(paths) else []


def _item(folder: Path, row: Row) -> Item:
    source, target = (
        tuple(FilePart(File(folder, PurePath(path).as_posix())) for path in _paths(row[column]))
        for column in ("source", "target")
    )
    return Item(_name(row.get("name") or str(PurePath(_paths(row["source"])[0]).with_suffix(""))), source, target)


def _name(path: str) -> str:
    """Keep names inside the folder that samples are written to."""
    pure = PurePath(path)
    return "/".join(part for part in pure.parts if part not in (pure.anchor, "..", "."))


def _blame(cause: str, remedy: str = "") -> p2pkit.ComponentError:
    return p2pkit.ComponentError(cause, remedy=remedy, parameter="path")
