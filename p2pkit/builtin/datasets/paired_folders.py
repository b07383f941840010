"""Data sets whose sources and targets are in two folders."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from p2pkit.builtin.datasets.file_pairs import FileDataset, open_pairs
from p2pkit.builtin.datasets.layouts import HeldOut, Root, folders, read_by
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

SourceFolder = Annotated[str, Field(min_length=1, description="Folder of the sources, below `root` or each split.")]
TargetFolder = Annotated[str, Field(min_length=1, description="Folder of the targets, below `root` or each split.")]


def paired_folders(
    *,
    root: Root,
    source: SourceFolder = "source",
    target: TargetFolder = "target",
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
) -> FileDataset:
    """Two folders of images, paired by their names without suffix.

    Splits are folders inside these two (source/train), around them (train/source) or joined with them (trainA, trainB);
    without splits the pairs are split by their names. What all names of a folder end with, as `_A`, may differ;
    `*_A` stands for the files whose names end so.

    Raises:
        p2pkit.ComponentError: A folder is missing or empty, an image has no partner, or the first can't be used.
    """
    return open_pairs(
        read_by(folders(root, source, target, held_out), source_reader, target_reader),
        size=size,
        source=Intensity("source", source_channels, source_range, float_range, shown=source_shown),
        target=Intensity("target", target_channels, target_range, float_range, shown=target_shown),
        bands=source_bands,
    )
