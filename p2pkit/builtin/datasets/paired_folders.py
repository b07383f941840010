"""Data sets whose sources and targets are in two folders."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from p2pkit.builtin.datasets.file_pairs import FileDataset, open_pairs
from p2pkit.builtin.datasets.layouts import HeldOut, Root, folders
from p2pkit.builtin.datasets.sides import FloatRange, Intensity, Size, SourceChannels, TargetChannels

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
    float_range: FloatRange = (0.0, 1.0),
    held_out: HeldOut = 0.1,
) -> FileDataset:
    """Two folders of images, paired by their names without suffix.

    Splits are folders inside these two (source/train) or around them (train/source); without splits the pairs are
    split by their names.

    Raises:
        p2pkit.ComponentError: A folder is missing or empty, an image has no partner, or the first can't be used.
    """
    return open_pairs(
        folders(root, source, target, held_out),
        size=size,
        source=Intensity("source_channels", source_channels, float_range),
        target=Intensity("target_channels", target_channels, float_range),
    )
