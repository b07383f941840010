"""Data sets of files that hold both images of a pair."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from p2pkit.builtin.datasets.file_pairs import FileDataset, open_pairs
from p2pkit.builtin.datasets.layouts import Direction, HeldOut, Root, halves
from p2pkit.builtin.datasets.sides import (
    FloatRange,
    Intensity,
    Size,
    SourceChannels,
    SourceRange,
    TargetChannels,
    TargetRange,
)


def side_by_side(
    *,
    root: Root,
    direction: Direction = "a_to_b",
    size: Size = None,
    source_channels: SourceChannels = None,
    target_channels: TargetChannels = None,
    source_range: SourceRange = None,
    target_range: TargetRange = None,
    float_range: FloatRange = (0.0, 1.0),
    held_out: HeldOut = 0.1,
) -> FileDataset:
    """Files whose left and right halves are the two images of a pair.

    The files are in folders train, val and test, as many as there are; without these, the files directly in `root`
    are split by their names.

    Raises:
        p2pkit.ComponentError: There are no such files, or the first can't be used.
    """
    source = Intensity("source", source_channels, source_range, float_range)
    target = Intensity("target", target_channels, target_range, float_range)
    return open_pairs(halves(root, direction, held_out), size=size, source=source, target=target)


def emoji(*, size: Size = 64) -> FileDataset:
    """Outlines of emoji and the coloured drawings that belong to them, 64 x 64; they come with p2pkit.

    Source: Microsoft Fluent Emoji, MIT licence.
    """
    return side_by_side(root=Path(str(resources.files(__package__) / "fluent_emoji.zip")), size=size)
