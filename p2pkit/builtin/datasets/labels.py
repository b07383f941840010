"""Data sets of label maps and photos."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

import p2pkit
from p2pkit.builtin.datasets.file_pairs import FileDataset, open_pairs
from p2pkit.builtin.datasets.layouts import Direction, HeldOut, Root, folders, halves, read_by
from p2pkit.builtin.datasets.paired_folders import SourceFolder, TargetFolder
from p2pkit.builtin.datasets.ranges import Range
from p2pkit.builtin.datasets.sides import (
    FloatRange,
    Intensity,
    Labels,
    Size,
    SourceRange,
    SourceReader,
    TargetRange,
    TargetReader,
)

_Value = Annotated[int, Field(ge=0, le=255)]
Classes = Annotated[
    int | None, Field(ge=2, le=65536, description="Number of classes; null: as many as the palette has colours.")
]
Palette = Annotated[
    list[tuple[_Value, _Value, _Value]] | None,
    Field(description="Red, green and blue of each class; a mask in colours is decoded to the nearest."),
]

Unlabelled = Annotated[
    tuple[Annotated[int, Field(ge=0, le=65535)], ...] | None,
    Field(
        description="Values that mean that a pixel's class is not known, classes or others; losses and scores of "
        "classes skip them. Null: 255, where masks hold it beside classes."
    ),
]


def labels(
    *,
    root: Root,
    classes: Classes = None,
    palette: Palette = None,
    unlabelled: Unlabelled = None,
    labels: Annotated[
        Literal["source", "target"], Field(description="Which image of a pair is the label map.")
    ] = "source",
    layout: Annotated[
        Literal["folders", "side_by_side"],
        Field(description="`folders`: as paired_folders finds pairs; `side_by_side`: both images in one file."),
    ] = "folders",
    source: SourceFolder = "source",
    target: TargetFolder = "target",
    direction: Direction = "a_to_b",
    size: Size = None,
    channels: Annotated[
        int | None, Field(ge=1, le=1024, description="Channels of the photo; null: as the first file has.")
    ] = None,
    source_range: SourceRange = None,
    target_range: TargetRange = None,
    source_reader: SourceReader = None,
    target_reader: TargetReader = None,
    float_range: FloatRange = (0.0, 1.0),
    held_out: HeldOut = 0.1,
) -> FileDataset:
    """Label maps and photos; networks see one plane for each class.

    A mask holds the classes' indices (grey or palette files) or, with `palette`, the classes' colours. Masks are
    resized to the nearest pixel. `source` and `target` name the folders of one layout, `direction` is of the other.

    Raises:
        p2pkit.ComponentError: The files can't be paired, or the first can't be used, or classes and palette differ.
    """
    colours = tuple(palette or ())
    if colours and classes not in (None, len(colours)):
        cause = f"there are {classes} classes, but {len(colours)} colours"
        raise p2pkit.ComponentError(cause, remedy="leave classes out, or give a colour for each", parameter="palette")
    if not classes and len(colours) < 2:
        cause = "the number of classes is not given"
        raise p2pkit.ComponentError(cause, remedy="give classes, or a palette of two or more", parameter="classes")
    mask = Labels(classes or len(colours), colours, unlabelled)
    ranges: dict[Literal["source", "target"], Range] = {"source": source_range, "target": target_range}
    if ranges.pop(labels) is not None:
        raise p2pkit.ComponentError(f"the {labels} is a label map, which has no range", parameter=f"{labels}_range")
    ((side, declared),) = ranges.items()
    photo = Intensity(side, channels, declared, float_range, "channels")
    pairs = halves(root, direction, held_out) if layout == "side_by_side" else folders(root, source, target, held_out)
    pairs = read_by(pairs, source_reader, target_reader)
    if labels == "source":
        return open_pairs(pairs, size=size, source=mask, target=photo)
    return open_pairs(pairs, size=size, source=photo, target=mask)
